"""Containers by their names and labels, as engines report them.

Where a name is expected, engines also accept the beginning of an id: `docker inspect fe` may report another
container when none is called `fe`.
"""

import re
from collections.abc import Mapping

from backends.command import Command, CommandResult
from backends.hosts.execution import format_output
from backends.text import MAX_DETAIL_CHARS, shorten

NO_SUCH = "no such container"
_ABSENT = re.compile(r"no such (container|object)", re.IGNORECASE)


def inspect_format(name: str, shown: str) -> str:
    """Return the format for `inspect` that shows a field of the container of this name, or `NO_SUCH`."""
    # Docker puts a slash before the name, Podman does not.
    return f'{{{{if eq .Name "{name}" "/{name}"}}}}{shown}{{{{else}}}}{NO_SUCH}{{{{end}}}}'


def is_absent(result: CommandResult) -> bool:
    """Return whether `inspect` with such a format found no container of the name."""
    if result.ok:
        return result.stdout.strip() == NO_SUCH
    return _ABSENT.search(format_output(result)) is not None


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
