"""Signals to a process whose event loop is stuck, such as in a write to a disk that does not answer any more.

Python handles a signal in the main thread, and asyncio in the event loop: while a network file system hangs,
neither has its turn, and only SIGKILL would end the process. A thread therefore reads which signals came.
"""

import contextlib
import os
import select
import signal
import socket
import threading
from asyncio import AbstractEventLoop
from collections.abc import Iterator

from console.exit_codes import ExitCode

ANSWER_TIMEOUT_S = 10.0  # for the loop to have its turn; the journal waits for another writer for 5 s
_SIGNALS = (signal.SIGINT, signal.SIGTERM)  # a terminal that is closed sends SIGHUP twice, and wants nothing


@contextlib.contextmanager
def end_when_stuck(loop: AbstractEventLoop) -> Iterator[None]:
    """While the context is open, end the process at the second signal that finds the loop stuck.

    Nothing can be said of the nodes then: `rolldeck status` reads what is out of rotation.
    """
    if threading.current_thread() is not threading.main_thread():  # signals are not its business
        yield
        return
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    before = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(ours, loop), name="signals", daemon=True).start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        theirs.close()


def _watch(signals: socket.socket, loop: AbstractEventLoop) -> None:
    """Read the numbers of signals until the other end is closed."""
    stuck = 0
    with signals:
        while number := signals.recv(1):
            if number[0] not in _SIGNALS or _answers(loop):
                continue
            stuck += 1
            if stuck == 1:
                _say("stuck, as in a write to a disk that does not answer; another signal ends it like this")
            else:
                _say("ended while it was stuck; what is out of rotation: rolldeck status")
                os._exit(ExitCode.ABORTED)


def _answers(loop: AbstractEventLoop) -> bool:
    answered = threading.Event()
    try:
        loop.call_soon_threadsafe(answered.set)
    except RuntimeError:  # it is closed: the work is done
        return True
    return answered.wait(ANSWER_TIMEOUT_S)


def _say(text: str) -> None:
    """Write to standard error, unless that would wait: its reader may be stuck too."""
    with contextlib.suppress(OSError, ValueError):
        if select.select([], [2], [], 0)[1]:
            os.write(2, f"rolldeck: {text}\n".encode())
