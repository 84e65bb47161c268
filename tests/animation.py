"""The README's animated picture: `python -m tests.animation` records a rollout of the real demo."""

import asyncio
import tempfile
from pathlib import Path

from console.terminal.output import say
from orchestrator.events.state import NodeState
from tests.console.real_console import Driver
from tests.pictures import HERE, TALL, check_private, take
from tests.support.animation import Frame, animate
from tests.support.svg import lean

NAME = "rollout-animated.svg"
VERSION = "1.5.0"
RECORD_INTERVAL_S = 1.0  # of the real rollout, between two looks
FRAME_S = 0.3  # of the animation, for each look that differs from the one before
FIRST_S, LAST_S = 1.5, 4.0
LEVEL_S = 20  # of traffic, before the rollout begins
MAX_FRAMES = 180


async def _record(at: Driver) -> None:
    frames: list[str] = []
    await at.sees("web4", "up 4")
    await at.pilot.resize_terminal(*TALL)
    await asyncio.sleep(LEVEL_S)
    frames.append(_look(at))
    await at.press("u")
    await at.sees("Upgrade shop")
    await at.type(VERSION)
    frames.append(_look(at))
    await at.press("tab", "tab", "tab", "tab", "tab", "enter")
    await at.sees("In rotation, batch by batch", "Start")
    frames.append(_look(at))
    await at.press("right", "enter")
    state = at.console_stack.state
    while state.ended is None and len(frames) < MAX_FRAMES:
        await asyncio.sleep(RECORD_INTERVAL_S)
        state = at.console_stack.state
        frames.append(_look(at))
    if any(node.state is not NodeState.UPGRADED for node in state.nodes.values()):
        raise RuntimeError(f"the rollout did not succeed:\n{at.text}")
    await at.result("healthy")
    frames.append(_look(at))
    svg = animate(_time(frames))
    check_private(at, svg, NAME)
    (HERE / NAME).write_text(svg, encoding="utf-8")
    say(f"docs/pictures/{NAME}: {len(frames)} looks, {len(svg) / 1000:.0f} kB")


def _look(at: Driver) -> str:
    return lean(at.app.export_screenshot(simplify=True))


def _time(frames: list[str]) -> list[Frame]:
    """Return the frames with their times, without those that repeat the one before."""
    kept = [svg for index, svg in enumerate(frames) if not index or svg != frames[index - 1]]
    seconds = [FIRST_S] * 3 + [FRAME_S] * (len(kept) - 4) + [LAST_S]
    return [Frame(svg, shown) for svg, shown in zip(kept, seconds[-len(kept) :], strict=True)]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="rolldeck-") as temporary:
        HERE.mkdir(parents=True, exist_ok=True)
        asyncio.run(take(Path(temporary) / "demo", _record))
