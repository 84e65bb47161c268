"""An interactive shell on a node, on the terminal of this process, as `ssh` would have it.

What a shell prints is the one thing from elsewhere that reaches the terminal as it is: a person works there.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import sys
import termios
import tty
from collections.abc import Iterator

from backends.errors import Unreachable
from backends.shell import LocalShell, RemoteTerminal
from console.terminal.output import clean, say
from orchestrator.errors import JournalError
from orchestrator.node import Node
from orchestrator.session.operator_command import SHELL, OperatorCommand, Outcome, recorded
from orchestrator.session.session import Session

READ_BYTES = 64 * 1024
RESET = b"\x1b[0m\x1b[?25h\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?2004l\x1b[?1l\x1b>"
"""Ends colors, a hidden cursor, and reports of the mouse and of pastes, which a program may leave behind."""
LEAVE_SCREEN = b"\x1b[?1049l"  # the alternate screen of a program that was cut off

# A shell has its own answer to these; they must end neither this process nor the console. Not ignored: that
# would be inherited.
_KEY_SIGNALS = (signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP)


async def open_shell(session: Session, node: Node) -> int:
    """Open a shell on a node, and return its exit status when the operator has left it.

    It is recorded in the journal, without what is typed and printed. When it cannot be recorded, a warning
    says so: a shell may be needed just to make room on the disk.

    Raises:
        BackendError: it was not started, or the connection was lost.
    """
    await node.host.connect()
    with contextlib.ExitStack() as recording:
        outcome = Outcome()
        try:
            command = OperatorCommand(SHELL, [node.name], "node")
            outcome = recording.enter_context(recorded(session, command))
        except JournalError as error:
            say(f"! {clean(str(error))}; this shell is not recorded")
        outcome.exit_status = await run_shell(node)
        return outcome.exit_status


async def run_shell(node: Node) -> int:
    """Do the same without a record."""
    size = shutil.get_terminal_size()
    term = os.environ.get("TERM") or "xterm"
    say(f"{clean(node.name)}: a shell; `exit` ends it")
    with _restored_terminal():
        async with node.host.open_shell(term, size.columns, size.lines) as shell:
            if isinstance(shell, LocalShell):
                return await _run_here(shell)
            return await _connect(shell.terminal)


async def _run_here(shell: LocalShell) -> int:
    with _key_signals_caught():
        process = await asyncio.create_subprocess_exec(*shell.argv, env=shell.environment)
        try:
            status = await process.wait()
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGHUP)  # as when its terminal is gone
            raise
    return status if status >= 0 else 128 - status


async def _connect(terminal: RemoteTerminal) -> int:
    """Pass on what is typed and printed until the far end has ended."""
    loop, source, target = asyncio.get_running_loop(), sys.stdin.fileno(), sys.stdout.fileno()

    def typed() -> None:
        try:
            data = os.read(source, READ_BYTES)
        except OSError:
            data = b""
        if data:
            terminal.write(data)
        else:
            loop.remove_reader(source)

    def resized() -> None:
        size = os.get_terminal_size(target)
        terminal.resize(size.columns, size.lines)

    tty.setraw(source, termios.TCSADRAIN)  # what was typed already is kept
    loop.add_reader(source, typed)
    loop.add_signal_handler(signal.SIGWINCH, resized)
    try:
        while data := await terminal.read():
            await asyncio.to_thread(_write, target, data)
        return await terminal.wait()
    except Unreachable:
        _write(target, LEAVE_SCREEN)
        raise
    finally:
        loop.remove_signal_handler(signal.SIGWINCH)
        loop.remove_reader(source)


def _write(target: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(target, left) :]


@contextlib.contextmanager
def _key_signals_caught() -> Iterator[None]:
    before = {number: signal.signal(number, lambda *_: None) for number in _KEY_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _restored_terminal() -> Iterator[None]:
    """Leave the terminal as it was: its modes, its foreground process group, and what is on by sequences."""
    source = sys.stdin.fileno()
    modes = termios.tcgetattr(source)
    try:
        yield
    finally:
        before = signal.signal(signal.SIGTTOU, signal.SIG_IGN)  # a killed shell leaves us in the background
        with contextlib.suppress(OSError, termios.error):
            os.tcsetpgrp(source, os.getpgrp())
            termios.tcsetattr(source, termios.TCSADRAIN, modes)
            _write(sys.stdout.fileno(), RESET)
        signal.signal(signal.SIGTTOU, before)
