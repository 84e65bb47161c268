"""Runs of the monkey, which works one console after the other; everything it does is written down."""

import contextlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from textual.app import App

from tests.monkey.actions import Action, Monkey
from tests.monkey.player import Player

CHECK_INTERVAL = 40  # actions between two checks that the console is alive
SHOWN_ACTIONS = 40  # that a failure lists


class MonkeyFound(AssertionError):
    """The console failed; the text has what was done last, and where all of it is."""


@dataclass(slots=True)
class Run:
    """What a monkey does, and did.

    Attributes:
        open_console: returns a console that has not run yet, over what the one before has left.
        depth: screens of it that no key may close.
        is_idle: whether no rollout runs.
        on_exit: is called with the result of each console that was closed.
        log: file that gets each action before it is done; None for none.
    """

    open_console: Callable[[], App[Any]]
    depth: int = 2
    is_idle: Callable[[], bool] = lambda: False
    on_exit: Callable[[object], None] = lambda result: None
    log: Path | None = None
    played: int = 0
    consoles: int = 0
    last: deque[Action] = field(default_factory=lambda: deque(maxlen=SHOWN_ACTIONS))

    async def play_random(self, seed: int, count: int, forbidden: Sequence[str] = ()) -> None:
        """Draw and play so many actions. Raises MonkeyFound."""
        monkey = Monkey(seed, forbidden)
        await self._play(
            lambda player: monkey.draw(player.bound, player.size, idle=self.is_idle()), count, f"seed {seed}"
        )

    async def replay(self, actions: Sequence[Action]) -> None:
        """Play these actions again. Raises MonkeyFound."""
        coming = iter(actions)
        await self._play(lambda player: next(coming), len(actions), "replay")

    async def _play(self, draw: Callable[[Player], Action], count: int, what: str) -> None:
        end = self.played + count
        try:
            while self.played < end:
                await self._play_to_one(draw, end)
        except Exception as error:
            where = f"; all of them are in {self.log}" if self.log else ""
            lines = "\n".join(msgspec.json.encode(action).decode() for action in self.last)
            raise MonkeyFound(
                f"{what}: {error!r} after {self.played} actions, the last of which were\n{lines}{where}"
            ) from error

    async def _play_to_one(self, draw: Callable[[Player], Action], end: int) -> None:
        app = self.open_console()
        self.consoles += 1
        async with app.run_test(size=(80, 24), notifications=True) as pilot:
            await pilot.pause()
            player = Player(pilot, self.depth)
            while self.played < end and not player.has_ended:
                action = draw(player)
                self._write(action)
                await player.play(action)
                self.played += 1
                if self.played % CHECK_INTERVAL == 0 and not player.has_ended:
                    await player.check()
        self.on_exit(app.return_value)

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
def working_folder(folder: Path) -> Iterator[None]:
    """Let the console write screenshots and transcripts there."""
    with contextlib.chdir(folder):
        yield
