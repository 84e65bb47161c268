"""What would keep a command from running, found without running it."""

import re
import shlex
from collections.abc import Awaitable, Callable, Mapping

from backends.command import Command
from backends.errors import UnreadableReply
from backends.hosts.execution import query
from backends.hosts.rehearsal import is_rehearsal
from backends.model import ServiceState
from backends.protocols import Host

LOOK_TIMEOUT_S = 10.0

_PLAIN_WORD = re.compile(r"[A-Za-z0-9_.+@:,/-]+")
_WRAPPERS = frozenset({"command", "env", "exec", "nohup", "setsid"})  # the program comes after them
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=.*", re.DOTALL)

# `command -v` finds what a shell has itself, too. Of a path it says in some shells only that it is there.
_IS_THERE = r"""
case $1 in
*/*) test -f "$1" && test -x "$1" ;;
*) command -v -- "$1" >/dev/null 2>&1 ;;
esac && echo there || echo missing"""


async def command_obstacles(
    host: Host, commands: Mapping[str, Command], *, track: bool, programs: bool = False
) -> tuple[str, ...]:
    """Why commands could not run, in words; empty when nothing speaks against them.

    Args:
        host: where they would run.
        commands: by what they are for, such as "stop".
        track: as they would be run, see `Host.run`.
        programs: also look for the program that each begins with; needless where another call of the same
            program has just answered.

    Raises:
        BackendError: the host could not be asked.
    """
    found: dict[str, None] = {}
    for purpose, command in commands.items():
        if problem := await host.sudo_refusal(command, track=track):
            found[f"sudo would not run the command for {purpose}, `{host.render(command)}`: {problem}"] = None
        elif programs and (program := first_program(command)) and not await _is_there(host, program):
            found[f"the program of the command for {purpose} is not there: {program}"] = None
    return tuple(found)


async def process_obstacles(
    host: Host, manager: str, pid: int | None, look_again: Callable[[], Awaitable[ServiceState]]
) -> tuple[str, ...]:
    """Why the process of a service that runs cannot be seen where commands run; empty where it can.

    The manager is in a container then, and its process ids are the container's: somebody else has them here,
    who never ends, or nobody, and a service that still runs would be taken for one that has ended.

    Args:
        host: where commands run.
        manager: that says which process it is. One that does not notice at once that it has ended says so of
            a process that has just ended, too.
        pid: of the service, as the manager has said.
        look_again: at the state of the service.

    Raises:
        BackendError: the manager could not be asked.
    """
    if pid is None or is_rehearsal():  # that process ids are looked at is known there
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
    """The program that a command begins with; empty where that cannot be told without running it."""
    words = list(command.argv)
    if command.argv[:2] == ("sh", "-c") and len(command.argv) == 3:
        try:
            words = shlex.split(command.argv[2])
        except ValueError:
            return ""
    if any(word.startswith("PATH=") for word in words):
        return ""  # it is looked for elsewhere
    rest = (word for word in words if not _ASSIGNMENT.fullmatch(word))
    program = next((word for word in rest if word not in _WRAPPERS), "")
    return program if _PLAIN_WORD.fullmatch(program) and not program.startswith("-") else ""


async def _is_there(host: Host, program: str) -> bool:
    command = Command(("sh", "-c", _IS_THERE, "sh", program))
    result = await query(host, command, timeout=LOOK_TIMEOUT_S)
    # The word alone: with sudo or a container between, another answer says nothing of the program.
    return result.stdout.strip() != "missing"
