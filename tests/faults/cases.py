"""The matrix: every fault, the steps in which it can occur, and how the rollout has to end."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field

from orchestrator.events.steps import STEPS, Step
from tests.faults import faults
from tests.faults.managers import COLUMNS, Manager
from tests.faults.scene import INSTALL, Scene
from tests.support.rollouts import OLD, Running

Ends = str
"""``killed``, ``healthy``, ``degraded`` or ``aborted``; ``refused`` before anything was touched."""


async def _nothing(*_: object) -> None:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault.

    Attributes:
        name: for the table.
        ends: how the rollout ends, by the step in which it strikes; it cannot strike in others.
        prepare: what makes it before the rollout begins, such as a bad release.
        strike: what makes it in the middle of a step.
        mend: undoes it, before the recovery.
        recovery: `resume`, or `rollback` where the new version itself is bad; `upgrade` of what was refused.
        loses: why requests may fail then, in words; empty: none may.
        setting: wraps everything, such as a file system of its own.
        words: that the run has to say, unless it ends healthy.
        managers: the service managers that meet it too, beside the demo's commands, with how it ends there
            where that is another end.
    """

    name: str
    ends: Mapping[Step, Ends]
    prepare: Callable[[Scene], Awaitable[None]] = _nothing
    strike: Callable[[Scene, Running], Awaitable[None]] = _nothing
    mend: Callable[[Scene], Awaitable[None]] = _nothing
    recovery: str = "resume"
    loses: str = ""
    setting: Callable[[Scene], AbstractAsyncContextManager[None]] = lambda _: nullcontext()
    words: str = ""
    managers: Mapping[Manager, Mapping[Step, Ends]] = field(default_factory=dict)

    def ends_with(self, manager: Manager) -> Mapping[Step, Ends]:
        """How the rollout ends by step; empty where this service manager is not tried."""
        if manager == "command":
            return self.ends
        return {**self.ends, **self.managers[manager]} if manager in self.managers else {}


def everywhere(ends: Ends, **other: Ends) -> dict[Step, Ends]:
    """The same end in each step, but for those that are named."""
    return {step: other.get(step, ends) for step in STEPS}


def by_all(**other: Mapping[Step, Ends]) -> dict[Manager, Mapping[Step, Ends]]:
    """Tried with every service manager; with some it ends in another way."""
    return {manager: other.get(manager, {}) for manager in COLUMNS}


_DIES = "requests in flight on a node fail when it dies"
_FORGETS = (
    "a new HAProxy process sends requests to a stopped node until its checks fail or its state is restored"
)
_CUTS = "requests in flight in the old process are cut, and its port is closed for a moment"
_FAULTY = "a faulty version gives wrong answers until it is out of rotation"
_HANGS = "clients of the load balancer that hangs wait in vain"

CASES = (
    Fault(name="SIGKILL of Rolldeck", managers=by_all(), strike=faults.sigkill, ends=everywhere("killed")),
    Fault(
        name="SIGKILL of Rolldeck during the bake time",
        prepare=faults.long_bake,
        strike=faults.sigkill_in_the_bake,
        ends={"verify": "killed"},
    ),
    Fault(
        name="SIGTERM of Rolldeck",
        managers=by_all(),
        strike=faults.sigterm,
        ends=everywhere("aborted"),
        words="SIGTERM",
    ),
    Fault(name="SSH connection cut", managers=by_all(), strike=faults.cut, ends=everywhere("healthy")),
    Fault(
        name="sshd hangs",
        strike=faults.hang,
        mend=faults.go_on,
        ends=everywhere("degraded", verify="healthy"),  # which needs no SSH
        words="within",
    ),
    Fault(
        name="sshd of the next node hangs",
        strike=faults.hang_web2,
        mend=faults.web2_goes_on,
        ends={"verify": "degraded"},
    ),
    Fault(
        name="SSH refused",
        strike=faults.refuse,
        mend=faults.listen_again,
        ends=everywhere("degraded", verify="healthy"),
        words="refused",
    ),
    Fault(
        name="host key changed",
        strike=faults.change_key,
        mend=faults.know_the_key,
        ends=everywhere("degraded", verify="healthy"),
        words="host key",
    ),
    Fault(
        name="node down",
        strike=faults.node_down,
        mend=faults.node_up,
        ends=everywhere("degraded"),
        loses=_DIES,
    ),
    Fault(
        name="version not available",
        prepare=faults.no_release,
        mend=faults.release_again,
        ends={"drain": "refused"},
        recovery="upgrade",
        words="1.5.0 is not available",
    ),
    Fault(
        name="service manager cannot start the service",
        prepare=faults.no_start_program,
        mend=faults.start_program_again,
        ends={"drain": "refused"},
        recovery="upgrade",
        words="the program of the command for start is not there",
    ),
    Fault(
        name="service ignores SIGTERM",
        managers=by_all(systemd={"stop": "healthy"}, docker={"stop": "healthy"}),  # which kill it
        prepare=faults.ignores_sigterm,
        mend=faults.kill_the_old,
        ends={"stop": "degraded"},
        words="is running",
    ),
    Fault(
        name="service dies right after its start",
        managers=by_all(),
        prepare=faults.dies_unproven,
        ends={"verify": "degraded"},
        recovery="rollback",
        words="the service died",
    ),
    Fault(
        name="service dies once it is in rotation",
        prepare=faults.dies_while_it_bakes,
        ends={"verify": "degraded"},
        recovery="rollback",
        loses=_DIES,
    ),
    Fault(
        name="service dies before it listens",
        managers=by_all(),
        prepare=faults.dies_before_it_listens,
        ends={"start": "degraded"},
        recovery="rollback",
        words="the service died",
    ),
    Fault(
        name="service dies after two seconds",
        prepare=faults.dies_after_two_seconds,
        ends={"verify": "degraded"},
        recovery="rollback",
        words="the service died",
    ),
    Fault(
        name="service dies under traffic",
        prepare=faults.faulty_version("1.6.0-crash", bake_time=4),
        ends={"verify": "degraded"},
        recovery="rollback",
        loses=_DIES,
    ),
    Fault(
        name="service answers 20 % with 500",
        prepare=faults.faulty_version("1.6.0-errors", bake_time=4),
        ends={"verify": "degraded"},
        recovery="rollback",
        loses=_FAULTY,
        words="1.5.0 fails",
    ),
    Fault(
        name="service answers 60 times slower",
        prepare=faults.faulty_version("1.6.0-slow"),
        ends={"verify": "healthy"},
    ),
    Fault(
        name="service starts slowly",
        managers=by_all(),
        prepare=faults.bad_version(start_delay=2.5),
        ends={"start": "healthy"},
    ),
    Fault(
        name="service starts too slowly",
        managers=by_all(),
        prepare=faults.bad_version(start_delay=60.0),
        ends={"start": "degraded"},
        recovery="rollback",
        words="is closed",
    ),
    Fault(
        name="service listens, but /health is 503",
        managers=by_all(),
        prepare=faults.bad_version(healthy=False),
        ends={"verify": "degraded"},
        recovery="rollback",
        words="503",
    ),
    Fault(
        name="healthy, but the old version is running",
        managers=by_all(),
        prepare=faults.bad_version(reports_version=OLD),
        ends={"verify": "degraded"},
        recovery="rollback",
        words="1.4.2 runs, expected 1.5.0",
    ),
    Fault(
        name="install fails",
        managers=by_all(),
        prepare=faults.installer("echo no such package >&2; exit 1"),
        mend=faults.good_installer,
        ends={"install": "degraded"},
        words="no such package",
    ),
    Fault(
        name="install hangs",
        prepare=faults.installer("sleep 600"),
        mend=faults.end_the_installer,
        ends={"install": "degraded"},
        words="the installer is still running on web1, pid",
    ),
    Fault(
        name="install fills the disk",
        setting=faults.small_package_disk,
        prepare=faults.installer(f"head -c 1000000 /dev/zero >space/package && {{ {INSTALL}; }}"),
        mend=faults.good_installer,
        ends={"install": "degraded"},
        words="No space left on device",
    ),
    Fault(
        name="install changes nothing",
        prepare=faults.installer("true"),
        mend=faults.good_installer,
        ends={"install": "degraded"},
        words="after the install the version is 1.4.2",
    ),
    Fault(
        name="HAProxy reloaded",
        managers=by_all(),
        strike=faults.reload,
        ends=everywhere("healthy"),
        loses=_FORGETS,
    ),
    Fault(name="HAProxy restarted", strike=faults.restart, ends=everywhere("healthy"), loses=_CUTS),
    Fault(
        name="one of two HAProxies hangs",
        strike=faults.freeze_lb1,
        mend=faults.thaw_lb1,
        ends=everywhere("degraded"),
        loses=_HANGS,
        words="lb1",
    ),
    Fault(
        name="socket missing on one of two HAProxies",
        strike=faults.take_socket,
        mend=faults.give_socket,
        ends=everywhere("degraded"),
        words="lb1",
    ),
    Fault(
        name="permission lowered on one of two HAProxies",
        strike=faults.lower,
        mend=faults.raise_again,
        ends=everywhere("degraded"),
        loses=_FORGETS,
        words="lb1",
    ),
    Fault(
        name="somebody's maintenance leaves one node",
        strike=faults.maint_web2,
        mend=faults.ready_web2,
        ends=everywhere("degraded"),
        words="somebody set shop/web2 on lb1 to maint",
    ),
    Fault(
        name="sessions that never end",
        setting=faults.endless_sessions,
        mend=faults.let_go,
        ends={"drain": "degraded"},
        words="is running",
    ),
    Fault(
        name="disk of the journal full",
        setting=faults.small_journal_disk,
        strike=faults.fill_the_disk,
        mend=faults.free_the_disk,
        ends=everywhere("degraded"),
        words="disk is full",
    ),
    Fault(
        name="clock set a day forward",
        setting=faults.own_clock,
        strike=faults.set_clock(86_400),
        ends=everywhere("healthy"),
    ),
    Fault(
        name="clock set a day back",
        setting=faults.own_clock,
        strike=faults.set_clock(-86_400),
        ends=everywhere("healthy"),
    ),
)
