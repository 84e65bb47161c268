"""What a monkey can do to a terminal, drawn at random, as values that can be written and replayed."""

import random
from collections.abc import Collection, Iterator, Sequence
from typing import Literal

import msgspec

SIZES = ((80, 24), (120, 40), (200, 50), (100, 30), (79, 24), (40, 10), (80, 23), (240, 60), (5, 3))
SPECIAL = (
    *("enter", "escape", "tab", "shift+tab", "up", "down", "left", "right", "pageup", "pagedown"),
    *("home", "end", "space", "backspace", "delete", "f1", "ctrl+p", "ctrl+r", "ctrl+c", "ctrl+s"),
    *("ctrl+a", "ctrl+u", "ctrl+w", "ctrl+k", "ctrl+l", "question_mark", "slash", "exclamation_mark"),
)
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
PASTES = (
    "web1",
    "1.5.0\n",
    "\n\n\n",
    "[/b][red]\x1b[31m[@click=app.quit]x[/]",
    "\u202e\u200d界🧑‍🚀\t\x00\x7f",
    "web[12] web3 " * 200,
    "q\nq\ny\n",
)
VERSIONS = ("1.4.2", "1.5.0", "1.4.2", "1.5.0", "6.6.6")
"""Upgrades go from one good version to the other, and to a broken one in between."""
START_SHARE = 0.06  # of the actions while an application has no rollout
ANSWER_SHARE = 0.04  # of all actions

Gesture = Literal["click", "double", "move", "up", "down"]
"""What is done with the mouse; up and down turn its wheel."""
GESTURES: tuple[Gesture, ...] = ("click", "click", "double", "move", "up", "down")


class Keys(msgspec.Struct, frozen=True, tag=True):
    """Keys, one after the other, or all of them before anything has reacted to the first."""

    keys: tuple[str, ...]
    together: bool = False


class Paste(msgspec.Struct, frozen=True, tag=True):
    """A text that the terminal pastes."""

    text: str


class Resize(msgspec.Struct, frozen=True, tag=True):
    """Another size of the terminal."""

    width: int
    height: int


class Mouse(msgspec.Struct, frozen=True, tag=True):
    """Something done with the mouse at a point of the terminal; it may be outside."""

    what: Gesture
    x: int
    y: int


class Start(msgspec.Struct, frozen=True, tag=True):
    """An upgrade from wherever the console is: back to its first screen, options, plan, start.

    Attributes:
        version: to upgrade to.
        confirm: index of what waits for a human.
        application: of a fleet; empty where there is only one.
    """

    version: str
    confirm: int
    application: str = ""


class Answer(msgspec.Struct, frozen=True, tag=True):
    """Somebody else resumes what is paused, and answers the open questions of all rollouts.

    Attributes:
        choice: number of the answer; there may be fewer of them.
    """

    choice: int


Action = Keys | Paste | Resize | Mouse | Start | Answer


def count_events(action: Action) -> int:
    """Return how many events an action is for the console; a double click is one."""
    return len(action.keys) if isinstance(action, Keys) else int(isinstance(action, Paste | Resize | Mouse))


def typed(text: str) -> tuple[str, ...]:
    """Return the keys for a text."""
    names = {".": "full_stop", " ": "space", "-": "minus"}
    return tuple(names.get(character, character) for character in text)


class Monkey:
    """Draws actions; those that the screen in front has keys for come more often.

    Args:
        seed: the same one gives the same actions for the same screens.
        forbidden: keys that it never presses.
        in_fleet: whether an application has to be opened before it can be upgraded.
    """

    def __init__(self, seed: int, forbidden: Collection[str] = (), *, in_fleet: bool = False) -> None:
        self._random = random.Random(seed)  # noqa: S311 - it has to be repeatable
        self._forbidden = frozenset(forbidden)
        self._in_fleet = in_fleet

    def draw(self, bound: Collection[str], size: tuple[int, int], idle: Sequence[str]) -> Action:
        """Return the next action.

        Args:
            bound: keys that the screen in front has bindings for.
            size: columns and lines of the terminal.
            idle: applications without a rollout, so that one should be started now and then.
        """
        if self._random.random() < ANSWER_SHARE:
            return Answer(self._random.choice((0, 0, 0, 1, 2, 3, 4)))
        drawn = self._random.random()
        if idle and self._random.random() < START_SHARE:
            application = self._random.choice(idle) if self._in_fleet else ""
            return Start(self._random.choice(VERSIONS), self._random.choice((0, 0, 1)), application)
        if drawn < 0.06:
            return Paste(self._random.choice(PASTES))
        if drawn < 0.09:
            return Resize(*self._random.choice(SIZES))
        if drawn < 0.2:
            return self._draw_mouse(size)
        length = self._random.choice((1, 1, 1, 2, 2, 3, 5, 8, 13))
        keys = tuple(self._draw_keys(sorted(bound), length))
        if self._random.random() < 0.2:
            keys = (keys[0],) * len(keys)
        return Keys(keys, together=self._random.random() < 0.5)

    def _draw_keys(self, bound: list[str], count: int) -> Iterator[str]:
        while count:
            drawn = self._random.random()
            if bound and drawn < 0.55:
                key = self._random.choice(bound)
            elif drawn < 0.85:
                key = self._random.choice(SPECIAL)
            else:
                key = self._random.choice(LETTERS)
            if key not in self._forbidden:
                count -= 1
                yield key

    def _draw_mouse(self, size: tuple[int, int]) -> Mouse:
        what = self._random.choice(GESTURES)
        return Mouse(what, self._random.randrange(size[0] + 2), self._random.randrange(size[1] + 2))
