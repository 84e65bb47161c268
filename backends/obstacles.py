"""What would keep a command from running, as queries find without running it."""

import re
import shlex
from collections.abc import Awaitable, Callable, Mapping

from backends.command import Command
from backends.errors import UnreadableReply
from backends.hosts.execution import is_rehearsal, query
from backends.model import ServiceState
from backends.protocols import Host

QUERY_TIMEOUT_S = 10.0

_PLAIN_WORD = re.compile(r"[A-Za-z0-9_.+@:,/-]+")
_WRAPPERS = frozenset({"command", "env", "exec", "nohup", "setsid"})  # the program comes after them
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=.*", re.DOTALL)

# `command -v` finds what a shell has itself, too. Of a path it says in some shells only that it is there.
_PROGRAM_EXISTS = r"""
case $1 in
*/*) test -f "$1" && test -x "$1" ;;
*) command -v -- "$1" >/dev/null 2>&1 ;;
esac && echo there || echo missing"""


async def command_obstacles(
    host: Host, commands: Mapping[str, Command], *, track: bool, programs: bool = False
) -> tuple[str, ...]:
    """Return why commands could not run, as text; empty when nothing prevents them.

    Args:
        host: where they would run.
        commands: the commands by their purposes, such as "stop".
        track: whether they would be tracked, see `Host.run`.
        programs: also check that the program of each command exists; needless where another call of the
            same program has just answered.

    Raises:
        BackendError: the host does not answer.
    """
    found: dict[str, None] = {}
    for purpose, command in commands.items():
        if problem := await host.sudo_refusal(command, track=track):
            found[f"sudo would not run the command for {purpose}, `{host.render(command)}`: {problem}"] = None
        elif programs and (program := first_program(command)) and not await _program_exists(host, program):
            found[f"the program of the command for {purpose} is not there: {program}"] = None
    return tuple(found)


async def process_obstacles(
    host: Host, manager: str, pid: int | None, look_again: Callable[[], Awaitable[ServiceState]]
) -> tuple[str, ...]:
    """Return why the process of a running service is not visible where commands run; empty if it is.

    In that case the manager is in a container and reports the container's process ids. On the host such an id
    belongs to another process, which never ends, or to none, so that a service that still runs would be
    taken for one that has ended.

    Args:
        host: where commands run.
        manager: the name of the manager that reports the process id. A manager that does not notice at once
            that a process has ended reports a process that has just ended, too.
        pid: the process id that the manager reports.
        look_again: reads the state of the service again.

    Raises:
        BackendError: the manager does not answer.
    """
    if pid is None or is_rehearsal():  # a rehearsal needs no query for the process id
        return ()
    try:
        if await host.alive(pid):
            return ()
    except UnreadableReply:
        return ()  # the stop and the start will say so
    if (await look_again()).pid != pid:
        return ()
    return (
        f"{manager} says that the service is process {pid}, and the node has no such process: when"
        f" {manager} is in a container, let all commands run there by `prefix`, as `docker exec -i NAME`",
    )


def first_program(command: Command) -> str:
    """Return the program that a command begins with; empty if only running the command would tell."""
    words = list(command.argv)
    if command.argv[:2] == ("sh", "-c") and len(command.argv) == 3:
        try:
            words = shlex.split(command.argv[2])
        except ValueError:
            return ""
    if any(word.startswith("PATH=") for word in words):
        return ""  # the program is searched for elsewhere
    rest = (word for word in words if not _ASSIGNMENT.fullmatch(word))
    program = next((word for word in rest if word not in _WRAPPERS), "")
    return program if _PLAIN_WORD.fullmatch(program) and not program.startswith("-") else ""


async def _program_exists(host: Host, program: str) -> bool:
    command = Command(("sh", "-c", _PROGRAM_EXISTS, "sh", program))
    result = await query(host, command, timeout=QUERY_TIMEOUT_S)
    # Only this word counts: sudo or a container in between may answer something else.
    return result.stdout.strip() != "missing"
