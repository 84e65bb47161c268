"""The README's animated picture: `python -m tests.animation` records a rollout of the real demo."""

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path

from console.terminal.output import say
from orchestrator.events.state import NodeState
from tests.console.real_console import Driver
from tests.pictures import HERE, TALL, check_private, take
from tests.support.animation import Frame, animate
from tests.support.svg import lean

NAME = "rollout-animated.svg"
VERSION = "1.5.0"
LEVEL_S = 40  # of traffic, before the rollout begins
RECORD_INTERVAL_S = 0.5  # of the real rollout, between two looks
MAX_LOOKS = 32  # at the rollout: more would make the file larger, and no clearer
MAIN_S, DIALOG_S, PLAN_S, ROLLOUT_S, RESULT_S, END_S = 1.5, 1.5, 2.5, 8.0, 3.0, 1.5  # of the animation


async def _record(at: Driver) -> None:
    await at.sees("web4", "up 4")
    await at.pilot.resize_terminal(*TALL)
    await asyncio.sleep(LEVEL_S)
    frames = [Frame(_look(at), MAIN_S)]
    await at.press("u")
    await at.sees("Upgrade shop")
    await at.type(VERSION)
    frames.append(Frame(await _rested(at), DIALOG_S))
    await at.press("enter")
    await at.sees("In rotation, batch by batch", "Start")
    frames.append(Frame(await _rested(at), PLAN_S))
    await at.press("right", "enter")
    looks: list[str] = []
    while at.console_stack.ended is None:
        await asyncio.sleep(RECORD_INTERVAL_S)
        looks.append(_look(at))
    if any(node.state is not NodeState.UPGRADED for node in at.console_stack.state.nodes.values()):
        raise RuntimeError(f"the rollout did not succeed:\n{at.text}")
    chosen = _choose(looks)
    frames += [Frame(look, ROLLOUT_S / len(chosen)) for look in chosen]
    await at.sees("healthy", "Close")
    frames.append(Frame(await _rested(at), RESULT_S))
    await at.result("healthy")
    frames.append(Frame(await _rested(at), END_S))
    svg = animate(frames)
    check_private(at, svg, NAME)
    size_bytes = (HERE / NAME).write_bytes(svg.encode())
    say(f"docs/pictures/{NAME}: {sum(frame.seconds for frame in frames):g} s, {size_bytes / 1000:.0f} kB")


async def _rested(at: Driver) -> str:
    """Look once everything is painted, keys included."""
    await at.pilot.pause(0.3)
    return _look(at)


def _look(at: Driver) -> str:
    return lean(at.app.export_screenshot(simplify=True))


def _choose(looks: Sequence[str]) -> list[str]:
    """Return at most `MAX_LOOKS` of these, at even distances, without those that repeat the one before."""
    distinct = [look for index, look in enumerate(looks) if not index or look != looks[index - 1]]
    count = min(MAX_LOOKS, len(distinct))
    return [distinct[(index + 1) * len(distinct) // count - 1] for index in range(count)]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="rolldeck-") as temporary:
        HERE.mkdir(parents=True, exist_ok=True)
        asyncio.run(take(Path(temporary) / "demo", _record))
