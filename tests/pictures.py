"""Pictures for the README: `python -m tests.pictures` takes them of the real console on the demo's world."""

import asyncio
import getpass
import os
import socket
import tempfile
from collections.abc import Awaitable, Callable
from itertools import cycle
from pathlib import Path

from console.demo.load import Load
from console.demo.stack import Stack
from console.terminal.output import say
from console.tui.app import Console
from tests.console.real_console import Driver, opened
from tests.support.svg import lean

HERE = Path(__file__).parents[1] / "docs" / "pictures"
RATE = 160  # requests per second, over all load balancers
MORE = (40, 110, 220, 150, 280, 190, 80)  # on top of that, one after the other: nothing real is steady
WAVE = 1.3  # seconds of each
SIZE = (100, 24)
TALL = (100, 34)  # there the charts of both versions are below the nodes
LEVELS = 40  # seconds until it is known how fast the old version is, and charts have something to show
PRIVATE = (f"{getpass.getuser()}@", socket.gethostname())
OPERATOR, MACHINE = "ann", "bastion"  # in the pictures, instead of those
SLOW_VERSION = "1.6.0"
TREND = 9  # seconds until there are as many rates as a row shows


async def take(folder: Path, visit: Callable[[Driver], Awaitable[None]], slow_share: float = 0.02) -> None:
    """An upgrade as `rolldeck demo` has it, with a camera.

    Args:
        folder: for the demo's world.
        visit: works the console and takes the pictures.
        slow_share: part of all requests that takes two seconds.
    """
    os.environ["SUDO_USER"] = OPERATOR
    socket.gethostname = lambda: MACHINE
    async with Stack(folder / "demo") as stack:
        stack.add_release(SLOW_VERSION, answer_s=0.3)
        async with opened(stack) as console_stack:
            app = Console(console_stack.workspace)
            async with asyncio.TaskGroup() as group:
                traffic = group.create_task(_traffic(stack, slow_share))
                async with app.run_test(size=SIZE, notifications=True) as pilot:
                    await visit(Driver(app, pilot, console_stack))
                traffic.cancel()


async def _traffic(stack: Stack, slow_share: float) -> None:
    """Until cancelled: a steady load, and others that come and go over it. Says then how it was served."""
    steady = Load(RATE, stack.frontends, slow_share=slow_share)
    steady.start()
    reports = []
    try:
        for rate in cycle(MORE):
            wave = Load(rate, stack.frontends, slow_share=0)
            wave.start()
            try:
                await asyncio.sleep(WAVE)
            finally:
                reports.append(await wave.stop())
    finally:
        reports.append(await steady.stop())
        served = sum(report.total_served for report in reports)
        say(f"{served} requests served, {sum(report.total_failed for report in reports)} failed")


async def _visit(at: Driver) -> None:
    await at.sees("web4", "up 4")
    await asyncio.sleep(LEVELS)
    await _drain_and_return(at)
    await _picture(at, "main")

    await at.press("home", "x", "down", "x", "down", "x", "d")
    await at.sees("Refused: the capacity floor would be violated")
    await _picture(at, "refused")
    await at.press("escape", "x", "up", "x", "up", "x")

    await at.propose("1.5.0", confirm=1)
    await at.sees("In rotation, batch by batch")
    await _picture(at, "plan")

    await at.press("right", "enter")
    await at.asked("web1", "out of rotation?")
    await at.press("space")
    await at.asked("web2", "out of rotation?")
    await at.press("enter")
    await at.sees("web1", "in rotation", "in flight")
    await at.press("4")
    await at.sees("1.5.0 listens on port")
    await _picture(at, "node")
    await at.press("escape", "a")
    await at.sees("Abort the rollout?")
    await at.press("right", "enter")
    await at.result("aborted")


async def _drain_and_return(at: Driver) -> None:
    """A node taken out by hand, and put back: something has happened then."""
    await at.press("end", "d")
    await at.sees("Drain web4?")
    await at.press("shift+tab")
    await at.type("INC-7")
    await at.press("enter", "enter")
    await at.until(lambda: "drain 1" in at.text)
    await at.press("e")
    await at.sees("Back in rotation: web4?")
    await at.press("right", "enter")
    await at.until(lambda: "up 4" in " ".join(at.text.split()) and at.app.screen is at.main)
    await at.press("home")
    await asyncio.sleep(TREND)


async def _judge(at: Driver) -> None:
    """A version that is too slow, until that is proven."""
    await at.sees("web4", "up 4")
    await asyncio.sleep(LEVELS)
    await at.pilot.resize_terminal(*TALL)
    await at.start(SLOW_VERSION, confirm=1)
    await at.asked("web1", "out of rotation?")
    await at.press("space")
    await at.asked("web2", "out of rotation?")
    await at.until(lambda: "hold: web1 is slower" in at.text, 180)
    await _picture(at, "verdict")
    await at.press("a")
    await at.sees("Abort the rollout?")
    await at.press("right", "enter")
    await at.result("aborted")


async def _picture(at: Driver, name: str) -> None:
    await at.until(lambda: "stale" not in at.behind)  # as on a machine that is busy
    await at.pilot.pause(0.3)
    svg = lean(at.app.export_screenshot(simplify=True))
    check_private(at, svg, f"{name}.svg")
    (HERE / f"{name}.svg").write_text(svg, encoding="utf-8")
    say(f"docs/pictures/{name}.svg")


def check_private(at: Driver, svg: str, name: str) -> None:
    """Raise ValueError if a picture would show anything of the machine on which it was taken."""
    for private in (str(at.console_stack.stack.directory), *PRIVATE):
        if private in svg:
            raise ValueError(f"{name} would show {private!r} of the machine on which it was taken")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="rolldeck-") as temporary:
        HERE.mkdir(parents=True, exist_ok=True)
        asyncio.run(take(Path(temporary) / "upgrade", _visit))
        asyncio.run(take(Path(temporary) / "verdict", _judge, slow_share=0))
