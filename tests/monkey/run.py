"""Runs of the monkey, which works one console after the other; everything it does is written down."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from textual.app import App

from tests.monkey.actions import Action, Answer, Monkey, count_events
from tests.monkey.player import Player

CHECK_INTERVAL = 40  # actions between two checks that the console is alive
SHOWN_ACTIONS = 40  # that a failure lists


OpenConsole = Callable[[], App[Any]]


class MonkeyFound(AssertionError):
    """The console failed; the text has what was done last, and where all of it is."""


@dataclass(slots=True)
class Run:
    """What a monkey does, and did.

    Attributes:
        idle: returns the applications without a rollout, of which one should be started now and then.
        answer: answers the open questions of all rollouts with the choice of this number.
        is_rolling: returns whether a rollout runs.
        in_fleet: whether an application has to be opened before it can be upgraded.
        log: file that gets each action before it is done; None for none.
        events: that were played so far.
        rolling_events: those of them during which a rollout ran.
        actions: like events, but several keys are one.
        consoles: that were opened.
    """

    idle: Callable[[], Collection[str]] = tuple
    answer: Callable[[int], None] = lambda choice: None
    is_rolling: Callable[[], bool] = lambda: False
    in_fleet: bool = False
    log: Path | None = None
    events: int = 0
    rolling_events: int = 0
    actions: int = 0
    consoles: int = 0
    last: deque[Action] = field(default_factory=lambda: deque(maxlen=SHOWN_ACTIONS))

    async def play_random(
        self, open_console: OpenConsole, seed: int, count: int, forbidden: Sequence[str] = ()
    ) -> None:
        """Draw and play so many events.

        Args:
            open_console: returns a console that has not run yet, over what the one before has left.
            seed: see `Monkey`, as for `forbidden`.
            count: how many events, at least.
            forbidden: likewise.

        Raises:
            MonkeyFound: the console failed.
        """
        monkey = Monkey(seed, forbidden, in_fleet=self.in_fleet)

        def draw(player: Player) -> Action:
            return monkey.draw(player.bound, player.size, sorted(self.idle()))

        await self._play(open_console, draw, count, f"seed {seed}")

    async def replay(self, open_console: OpenConsole, actions: Sequence[Action]) -> None:
        """Play these actions again. Raises MonkeyFound."""
        coming = iter(actions)
        count = sum(map(count_events, actions))
        await self._play(open_console, lambda player: next(coming), count, "replay")

    async def _play(
        self, open_console: OpenConsole, draw: Callable[[Player], Action], count: int, what: str
    ) -> None:
        end = self.events + count
        try:
            with loop_errors() as errors:
                while self.events < end:
                    await self._play_to_one(open_console(), draw, end)
            if errors:
                raise errors[0]
        except Exception as error:
            where = f"; all of them are in {self.log}" if self.log else ""
            lines = "\n".join(msgspec.json.encode(action).decode() for action in self.last)
            raise MonkeyFound(
                f"{what}: {error!r} after {self.events} events, the last of which were\n{lines}{where}"
            ) from error

    async def _play_to_one(self, app: App[Any], draw: Callable[[Player], Action], end: int) -> None:
        self.consoles += 1
        async with app.run_test(size=(80, 24), notifications=True) as pilot:
            await pilot.pause()
            player = Player(pilot)
            while self.events < end and not player.has_ended:
                action = draw(player)
                self._write(action)
                if isinstance(action, Answer):
                    self.answer(action.choice)
                await player.play(action)
                self.events += (count := count_events(action))
                self.rolling_events += count if self.is_rolling() else 0
                self.actions += 1
                if self.actions % CHECK_INTERVAL == 0 and not player.has_ended:
                    await player.check()
            await player.end()

    def _write(self, action: Action) -> None:
        self.last.append(action)
        if self.log is not None:
            with self.log.open("ab") as file:
                file.write(msgspec.json.encode(action) + b"\n")


def read_log(path: Path) -> list[Action]:
    """Return the actions of a log."""
    lines = path.read_bytes().splitlines()
    return [msgspec.json.decode(line, type=Action) for line in lines]


@contextlib.contextmanager
def loop_errors() -> Iterator[list[Exception]]:
    """Collect the errors of tasks and callbacks that nobody waits for."""
    errors: list[Exception] = []

    def collect(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception") or RuntimeError(context["message"])
        errors.append(error)

    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()
    loop.set_exception_handler(collect)
    try:
        yield errors
    finally:
        loop.set_exception_handler(before)


@contextlib.contextmanager
def working_folder(folder: Path) -> Iterator[None]:
    """Let the console write screenshots and transcripts there."""
    with contextlib.chdir(folder):
        yield
