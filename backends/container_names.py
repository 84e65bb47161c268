"""Containers by their names: engines also take the beginning of an id where a name is expected.

So `docker inspect fe` may answer of a container that is called otherwise, when none is called `fe`.
"""

import re

from backends.command import CommandResult
from backends.hosts.execution import format_output

NO_SUCH = "no such container"
_ABSENT = re.compile(r"no such (container|object)", re.IGNORECASE)


def show_of(name: str, shown: str) -> str:
    """The format for `inspect` that shows something of the container of exactly this name, or `NO_SUCH`."""
    # Docker puts a slash before the name, Podman does not.
    return f'{{{{if eq .Name "{name}" "/{name}"}}}}{shown}{{{{else}}}}{NO_SUCH}{{{{end}}}}'


def is_absent(result: CommandResult) -> bool:
    """Whether the result of `inspect` with such a format says that there is no container of the name."""
    if result.ok:
        return result.stdout.strip() == NO_SUCH
    return _ABSENT.search(format_output(result)) is not None
