"""What `inspect` of Docker and Podman shows of a container, and what follows from it: pure functions."""

import re
from collections.abc import Mapping

import msgspec

from backends.command import Command
from backends.node_state import Activity, ServiceState
from backends.text import MAX_DETAIL_CHARS, shorten

_KEEPERS = {
    "com.docker.swarm.service.name": "the swarm service",
    "io.kubernetes.pod.name": "the pod of Kubernetes",
    "com.hashicorp.nomad.alloc_id": "the allocation of Nomad",
}
_UNIT = "PODMAN_SYSTEMD_UNIT"  # of Quadlet and `podman generate systemd`
_COMPOSED = "io.podman.compose.project"  # podman-compose names a unit, too, that need not be there
_UNIT_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:@\\-]{0,254}")
_IS_ACTIVE = 'systemctl is-active --quiet -- "$1" || systemctl --user is-active --quiet -- "$1"'


def keeper_obstacle(labels: Mapping[str, str]) -> str:
    """Return why a stop would not last; empty if no label suggests that."""
    for label, keeper in _KEEPERS.items():
        if name := labels.get(label):
            return (
                f"the container belongs to {keeper} {shorten(name, MAX_DETAIL_CHARS)}, which would replace it"
            )
    return ""


def unit_of(labels: Mapping[str, str]) -> str:
    """Return the unit of systemd that runs the container; empty if no label names one."""
    unit = labels.get(_UNIT, "")
    return unit if _COMPOSED not in labels and _UNIT_NAME.fullmatch(unit) else ""


def is_active_command(unit: str) -> Command:
    """Return a command that succeeds while the unit is active, of the machine or of the user."""
    return Command(("sh", "-c", _IS_ACTIVE, "sh", unit))


def unit_obstacle(unit: str) -> str:
    """Return why a stop would not last while this unit is active."""
    return (
        f"the container is run by the systemd unit {unit}, which may start it again at once; expected service"
        " kind systemd with that unit"
    )


class RestartPolicy(msgspec.Struct, frozen=True, rename="pascal"):
    """Podman leaves the name empty where Docker says "no"."""

    name: str = ""


class InspectedCreation(msgspec.Struct, frozen=True, rename="pascal"):
    """The part of `.HostConfig` of `inspect` that is read."""

    restart_policy: RestartPolicy
    auto_remove: bool
    labels: dict[str, str] | None = None


def start_problem(creation: InspectedCreation | None) -> str:
    """Return why a start may find no container; empty if nothing suggests that."""
    if creation is None:
        return "the container does not exist, and only a container installer would create it"
    if creation.auto_remove:
        return (
            "the container was made with --rm: its engine removes it when it is stopped,"
            " and only an installer of containers would create it again"
        )
    return ""


def reboot_caveat(creation: InspectedCreation) -> str:
    """Return what happens to the container without a command of anybody; empty if nothing does."""
    reboot = "after a reboot it is up only if something else starts it"
    match creation.restart_policy.name:
        case "unless-stopped":
            return ""
        case "always":
            return (
                "the container has the restart policy always: an engine that is itself restarted starts it,"
                " even while it is stopped for an upgrade"
            )
        case "on-failure":
            return f"the container has the restart policy on-failure: {reboot}"
    return f"the container has no restart policy: {reboot}"


class InspectedProbe(msgspec.Struct, frozen=True, rename="pascal"):
    """One run of a health check."""

    exit_code: int = 0
    output: str = ""


class InspectedHealth(msgspec.Struct, frozen=True, rename="pascal"):
    """The health check of the image; without one Podman reports it with an empty status."""

    status: str = ""
    log: list[InspectedProbe] | None = None  # the newest is the last


_UNCHECKED = ("", "none")  # states of health without a health check
_STOPPED = frozenset({"created", "configured", "initialized", "exited", "stopped"})
_CHANGING = frozenset({"restarting", "removing", "stopping"})


class InspectedState(msgspec.Struct, frozen=True, rename="pascal"):
    """The part of `.State` of `inspect` that is read; both engines have it."""

    status: str
    pid: int = 0
    exit_code: int = 0
    oom_killed: bool = msgspec.field(name="OOMKilled", default=False)
    error: str = ""
    health: InspectedHealth | None = None


def state_of(state: InspectedState, *, unpause: str = "", waits: bool = True) -> ServiceState:
    """Return the state of a service from what `inspect` shows.

    A container that ended by itself with an error has `FAILED`: exit statuses from 128 on are
    signals, which is how a stop ends an application that does not exit with 0. One that runs, and whose
    own health check has not passed, is not up yet.

    Args:
        state: the `.State` that `inspect` shows.
        unpause: the command that ends a pause, for people.
        waits: a health check that has not given a result yet will: Podman without systemd runs none.

    Raises:
        ValueError: a status that is not known here.
    """
    doubt = _health_problem(state, waits=waits)
    return ServiceState(
        activity=Activity.CHANGING if doubt else _activity_of(state),
        pid=state.pid if state.pid > 0 else None,
        detail=shorten(_describe_state(state, doubt), MAX_DETAIL_CHARS),
        retrying=state.status == "restarting",
        stopping=state.status in ("removing", "stopping"),
        unwatched=f"it is paused, which `{unpause}` ends" if unpause and state.status == "paused" else "",
        self_checked=state.health is not None and state.health.status not in _UNCHECKED,
    )


def _health_problem(state: InspectedState, *, waits: bool) -> str:
    """Return why the container's own health check keeps it from being up; empty if it does not."""
    if state.health is None or state.status != "running":
        return ""
    match state.health.status:
        case "unhealthy":
            return f"unhealthy by its own health check{_last_output(state.health)}"
        case "starting" if waits:
            return "its own health check has not passed yet"
    return ""


def _last_output(health: InspectedHealth) -> str:
    """Return the output of the last run, or else how it ended, as a suffix."""
    last = health.log[-1] if health.log else InspectedProbe()
    if output := " ".join(last.output.split()):
        return f": {output}"
    return f": exit status {last.exit_code}" if last.exit_code else ""


def _activity_of(state: InspectedState) -> Activity:
    if state.status == "running":
        return Activity.RUNNING
    if state.status in _CHANGING:
        return Activity.CHANGING
    if state.status in ("paused", "dead"):
        return Activity.FAILED
    if state.status not in _STOPPED:
        raise ValueError(f"the status is {state.status!r}")
    failed = state.oom_killed or state.error or 0 < state.exit_code < 128
    return Activity.FAILED if failed else Activity.STOPPED


def _describe_state(state: InspectedState, doubt: str) -> str:
    parts = [state.status]
    if state.status in ("exited", "stopped", "restarting"):
        parts.append(f"exit status {state.exit_code}")
    if doubt:
        parts.append(doubt)
    if state.oom_killed:
        parts.append("killed for lack of memory")
    if state.error:
        parts.append(" ".join(state.error.split()))
    return ", ".join(parts)
