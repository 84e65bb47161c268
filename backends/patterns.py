"""Searching what others say with an operator's regular expression, which may take for ever on the wrong text.

``version.*([0-9.]+)`` takes an hour on a megabyte that repeats "version"; ``(a+)+b`` never ends on thirty
letters. Nothing else can run in the process meanwhile, in no thread either, and `re` knows no time-out. It
does look for signals, though: a timer of the processor's time raises within it.
"""

import contextlib
import re
import signal
import threading
from collections.abc import Iterator

from backends.errors import UnreadableReply

MAX_CPU_S = 0.1  # for one search; an honest one takes a thousandth of that
MAX_TEXT = (
    64 * 1024
)  # characters; `re` looks for signals every few thousand steps, and one may go through all


class _OutOfTime(Exception):
    """Raised by the timer, wherever the search is."""


def search(pattern: str, text: str, flags: int = 0) -> re.Match[str] | None:
    """`re.search` with an end.

    Raises:
        UnreadableReply: the text is too long, or the search took too much of the processor's time.
    """
    if len(text) > MAX_TEXT:
        problem = f"{pattern!r} is searched in at most {MAX_TEXT:,} characters, and there are {len(text):,}"
        raise UnreadableReply("", problem)
    try:
        with _limit():
            return re.search(pattern, text, flags)
    except _OutOfTime:
        raise UnreadableReply("", f"{pattern!r} takes too long on what was said") from None


@contextlib.contextmanager
def _limit() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are for the main thread alone, in which all of Rolldeck's own loops run
        return
    armed = True

    def expire(*_: object) -> None:
        if armed:
            raise _OutOfTime

    # The handler stays, since a signal that comes late would end the process without one.
    signal.signal(signal.SIGVTALRM, expire)
    signal.setitimer(signal.ITIMER_VIRTUAL, MAX_CPU_S, MAX_CPU_S)
    try:
        yield
    finally:
        armed = False
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
