"""Calls an operator who looks elsewhere: by the bell, a desktop notification and the window title."""

import os
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from backends.text import visible
from orchestrator.events.state import NodeState, RolloutState, is_done

Way = Literal["bell", "desktop", "title"]

TITLE = "Rolldeck"
MAX_CHARS = 120  # of a title or a notification; some terminals cut off nothing
_SAVE_TITLE, _RESTORE_TITLE = "\x1b[22;2t", "\x1b[23;2t"  # of xterm; others ignore them


@dataclass(frozen=True, slots=True)
class _Glimpse:
    """The parts of a rollout's state that an operator is called for."""

    questions: Collection[str]
    failed: Collection[str]
    has_ended: bool

    @classmethod
    def of(cls, state: RolloutState) -> "_Glimpse":
        failed = {name for name, node in state.nodes.items() if node.state == NodeState.FAILED}
        return cls(frozenset(state.questions), failed, state.ended is not None)


class Attention:
    """Compares the rollouts with how they were last, and calls the operator when one needs somebody.

    Args:
        ways: how to call.
        write: writes to the terminal.
        environment: of the process; it tells which kind of notification the terminal knows.
    """

    def __init__(
        self,
        ways: Collection[Way],
        write: Callable[[str], object],
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        self._ways = ways
        self._write = write
        self._environment = environment
        self._seen: dict[str, tuple[RolloutState, _Glimpse]] = {}
        self._title = ""

    def update(self, states: Mapping[str, RolloutState]) -> None:
        """Call for what is new; what is there at the first look is on the screen anyway.

        Args:
            states: of the rollout that runs or ran last, by application; none that never had one.
        """
        reasons: list[str] = []
        for app, state in states.items():
            before, now = self._seen.get(app), _Glimpse.of(state)
            self._seen[app] = (state, now)
            if before is not None:
                # Another object is another rollout, which was not there before.
                known = before[1] if before[0] is state else _Glimpse((), (), has_ended=False)
                reasons += _reasons(app, state, known, now)
        if reasons:
            self._call("; ".join(reasons))
        if "title" in self._ways:
            self._show_title(_title(states))

    def close(self) -> None:
        """Give the terminal its own title back."""
        if self._title:
            self._write(_RESTORE_TITLE)
            self._title = ""

    def _call(self, reason: str) -> None:
        if "bell" in self._ways:
            self._write("\a")
        if "desktop" in self._ways:
            text = _one_line(reason)
            if self._knows_777():
                self._write(f"\x1b]777;notify;{TITLE};{text}\x1b\\")
            else:
                self._write(f"\x1b]9;{text}\a")

    def _knows_777(self) -> bool:
        """Return whether the terminal has rxvt's notification; with both kinds, some would show two."""
        term = self._environment.get("TERM", "")
        return term.startswith(("rxvt", "foot")) or "VTE_VERSION" in self._environment

    def _show_title(self, title: str) -> None:
        if title != self._title:
            save = "" if self._title else _SAVE_TITLE
            self._title = title
            self._write(f"{save}\x1b]2;{_one_line(title)}\x1b\\")


def _reasons(app: str, state: RolloutState, before: _Glimpse, now: _Glimpse) -> Iterator[str]:
    for name, question in state.questions.items():
        if name not in before.questions:
            yield f"{app}: {question.subject} waits for an answer"
    asked = {question.subject for question in state.questions.values()}
    for name in now.failed:
        if name not in before.failed and name not in asked:
            yield f"{app}: {name} failed"
    if state.ended is not None and not before.has_ended:
        yield f"{app}: {state.kind} to {state.version} ended {state.ended.result}"


def _title(states: Mapping[str, RolloutState]) -> str:
    running = {app: state for app, state in states.items() if state.nodes and state.ended is None}
    waiting = [app for app, state in running.items() if state.questions]
    if waiting:
        return f"? {', '.join(waiting)} · {TITLE}"
    if len(running) > 1:
        return f"{len(running)} rollouts · {TITLE}"
    for app, state in running.items():
        done = sum(is_done(node.state, state.kind) for node in state.nodes.values())
        planned = sum(len(batch) for batch in state.batches)
        return f"{app} → {state.version} {done}/{planned} · {TITLE}"
    return TITLE


def _one_line(text: str) -> str:
    """Make a text harmless in a control sequence: `;` would begin another field of it."""
    return visible(text).replace(";", ",")[:MAX_CHARS]
