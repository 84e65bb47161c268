"""What service managers and installers share: names of services, process ids, and labels of containers.

Where a name is expected, engines also accept the beginning of an id: `docker inspect fe` may report another
container when none is called `fe`.
"""

import re
from collections.abc import Mapping

from backends.command import Command, CommandResult
from backends.errors import ConfigError
from backends.hosts.execution import format_output
from backends.templates import fill_plain
from backends.text import MAX_DETAIL_CHARS, shorten

_ONE_ARGUMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:@\\-]*")
_WITH_BLANKS = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:@\\ -]*(?<! )")


def service_name(template: str, values: Mapping[str, str], *, blanks: bool = False) -> str:
    """Fill `{node}` and the like into a service's name, for hosts that run several.

    Args:
        template: the name in the configuration.
        values: the values of its placeholders.
        blanks: whether the service manager allows names of several words.

    Raises:
        ConfigError: the resulting name could be taken for an option, or has other characters.
    """
    name = fill_plain(template, values)
    if not (_WITH_BLANKS if blanks else _ONE_ARGUMENT).fullmatch(name):
        more = " and blanks within" if blanks else ""
        raise ConfigError(
            "",
            "service.name",
            f"{name[:128]!r} cannot be used: expected letters, digits and . _ : @ \\ -{more},"
            " beginning with a letter, a digit or _",
        )
    return name


_PID = re.compile(r"0*([1-9][0-9]{0,9})")  # Linux has none of more than seven digits


def parse_pid(text: str) -> int | None:
    """Return the process id in the first line of a text; None without one."""
    match = _PID.fullmatch(text.strip().split("\n", 1)[0].strip())
    return int(match[1]) if match else None


NO_SUCH = "no such container"
_ABSENT = re.compile(r"no such (container|object)", re.IGNORECASE)


def inspect_format(name: str, go_template: str) -> str:
    """Return the format for `inspect` that shows a field of the container of this name, or `NO_SUCH`."""
    # Docker puts a slash before the name, Podman does not.
    return f'{{{{if eq .Name "{name}" "/{name}"}}}}{go_template}{{{{else}}}}{NO_SUCH}{{{{end}}}}'


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
