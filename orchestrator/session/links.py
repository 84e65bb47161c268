"""The links of a session to other processes: Consul, rollouts of other machines, and those of this one."""

from dataclasses import dataclass
from pathlib import Path

from orchestrator.local.rollout import LocalRollout
from orchestrator.remote.rollout import RemoteRollout, RolloutSubscriber
from orchestrator.session.active_rollout import ActiveRollout
from orchestrator.session.consul import ConsulMonitor


@dataclass(frozen=True, slots=True)
class SessionLinks:
    """What a session sees of other processes, and how they reach it.

    Attributes:
        consul: None where nothing depends on Consul.
        published: reads rollouts of other machines; None where they are not visible.
        remote: follows them.
        local: follows the rollouts of other processes on this machine; None where nobody looks at them.
        socket: the path of the control socket that a rollout opens; None for none.
        needs_socket: whether a rollout is refused that cannot be controlled, since it has no terminal.
    """

    consul: ConsulMonitor | None = None
    published: RolloutSubscriber | None = None
    remote: RemoteRollout | None = None
    local: LocalRollout | None = None
    socket: Path | None = None
    needs_socket: bool = False

    @property
    def active(self) -> ActiveRollout | None:
        """The rollout that runs, on this machine before another one; else the last one that was seen."""
        local, remote = self.local, self.remote
        if local is not None and local.entry is None:
            local = None
        if remote is not None and (not remote.was_running or is_same(local, remote)):
            remote = None
        if local is None or remote is None or local.running:
            return local or remote
        return remote if remote.running or _ended_at(remote) > _ended_at(local) else local


def is_same(local: LocalRollout | None, remote: RemoteRollout) -> bool:
    """Return whether a published rollout is one of this machine: it is seen here without Consul."""
    if local is None or local.entry is None or remote.seen is None:
        return False
    here, there = local.entry, remote.seen.header
    return (here.host, here.pid) == (there.host, there.pid)


def _ended_at(rollout: ActiveRollout) -> float:
    ended = rollout.state.ended
    return rollout.state.began + ended.duration_s if ended is not None else 0.0
