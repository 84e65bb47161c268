"""Code that service managers and installers share: names of services, process ids, and container labels.

Where a name is expected, engines also accept the beginning of an id: `docker inspect fe` may report another
container when none is called `fe`.
"""

import re
from collections.abc import Mapping

from backends.command import CommandResult
from backends.errors import ConfigError
from backends.hosts.execution import format_output
from backends.templates import fill_plain

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
