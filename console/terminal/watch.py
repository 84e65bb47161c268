"""`--watch`: a command shows the same again and again, until it is interrupted."""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import click

from console.terminal.output import collect_lines, on_terminal, reader_gone, repaint, result
from console.terminal.reading import READER_CHECK_S

F = TypeVar("F", bound=Callable[..., Any])


def watch_option(command: F) -> F:
    """Add `--watch`, which the command is given as `interval_s`: None without it."""
    return click.option(
        "--watch",
        "interval_s",
        type=click.FloatRange(0.5, 3600),
        is_flag=False,
        flag_value=2.0,
        metavar="[SECONDS]",
        help="Repeat every 2 (or SECONDS) seconds, until Ctrl-C.",
    )(command)


async def show_repeatedly(
    show: Callable[[], Awaitable[int]], interval_s: float | None, *, as_json: bool
) -> int:
    """Show something once, and return its exit code; or again and again, until nobody reads it any more.

    Args:
        show: prints it once, and returns the exit code.
        interval_s: seconds between the beginnings of two rounds, which on a terminal are written over each
            other; None to show it once.
        as_json: what is shown is JSON, to which nothing is added.
    """
    if interval_s is None:
        return await show()
    repaints = on_terminal(sys.stdout) and not as_json
    code = 0
    while not reader_gone():
        began, now = time.monotonic(), time.strftime("%H:%M:%S")
        if repaints:
            with collect_lines() as lines:
                code = await show()
            repaint([f"{now}, every {interval_s:g} s; Ctrl-C ends it", "", *lines])
        else:
            if not as_json:
                result(f"--- {now}")
            code = await show()
        await _pause(began + interval_s)
    return code


async def _pause(until: float) -> None:
    """Wait for this moment of the monotonic clock, or until nobody reads the output any more."""
    while (left := until - time.monotonic()) > 0:
        if reader_gone():
            return
        await asyncio.sleep(min(left, READER_CHECK_S))
