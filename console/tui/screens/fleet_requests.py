"""The requests of the fleet to rollouts: one question about those of all chosen applications."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from textual.screen import Screen

from backends.name_ranges import fold_names
from backends.text import counted
from console.tui.screens.confirmations import describe_abort
from console.tui.screens.rollout_actions import send_request
from orchestrator.engine.operator_requests import ControlAction
from orchestrator.events.state import Phase
from orchestrator.fleet.overview import FleetOverview
from orchestrator.fleet.row import ApplicationRow
from widgets.decision_panel import PAUSED
from widgets.dialogs.elements import measure_column
from widgets.segments import fit

FleetKey = Literal["pause", "abort"]
"""What the operator has asked for; where all rollouts are paused, `pause` lets them go on."""

_PHASES: Mapping[FleetKey, Phase] = {"pause": "paused", "abort": "aborting"}
_VERBS: Mapping[ControlAction, str] = {"pause": "Pause", "resume": "Continue", "abort": "Abort"}


@dataclass(frozen=True, slots=True)
class FleetRequest:
    """What is requested of the rollouts of several applications.

    Attributes:
        what: is requested.
        is_second: whether all of them are being aborted already, so that they end at once.
        rows: of the applications whose rollouts are meant.
        left_alone: the other applications that were chosen, by the reason.
    """

    what: ControlAction
    is_second: bool
    rows: tuple[ApplicationRow, ...]
    left_alone: Mapping[str, Sequence[str]]

    @property
    def verb(self) -> str:
        """What is done, for the question and for its answer."""
        return _VERBS[self.what]

    @property
    def title(self) -> str:
        """The question."""
        return f"{self.verb} {self._rollouts}?"

    @property
    def ended(self) -> str:
        """Why the question is withdrawn once it is about no rollout any more."""
        return f"{self._rollouts} {'has' if self._is_alone else 'have'} ended or changed meanwhile"

    @property
    def _is_alone(self) -> bool:
        return len(self.rows) == 1

    @property
    def _rollouts(self) -> str:
        return f"the rollout of {self.rows[0].name}" if self._is_alone else counted(len(self.rows), "rollout")

    def lines(self) -> list[str]:
        """Return the text of the question: each rollout, what follows, and what is left alone."""
        width = measure_column(row.name for row in self.rows)
        rollouts = [(fit(row.name, width), row.rollout) for row in self.rows if row.rollout is not None]
        own = [
            f"{name}  {line.progress} · {line.action}, started by {line.operator}" for name, line in rollouts
        ]
        others = [f"Left alone: {fold_names(names)} ({why})." for why, names in self.left_alone.items()]
        return [*own, "", *self._consequences(), *others]

    def _consequences(self) -> Sequence[str]:
        match self.what:
            case "pause":
                return [PAUSED]
            case "resume":
                return ["The next nodes are started, and deadlines go on."]
            case _:
                it = "It" if self._is_alone else "Each"
                end = f"{it} ends {describe_abort(second=self.is_second)}."
                return [end, "What is then out of rotation stays out, and is named in its row."]

    def reduce_to(self, now: "FleetRequest") -> "FleetRequest":
        """Return what of this request can still be made.

        Args:
            now: what the same key would request now.
        """
        is_same = (now.what, now.is_second) == (self.what, self.is_second)
        left = {_identify(row) for row in now.rows} if is_same else set()
        return replace(self, rows=tuple(row for row in self.rows if _identify(row) in left))


def _identify(row: ApplicationRow) -> tuple[str, float]:
    """Return what tells the rollout of an application from an earlier or a later one."""
    return row.name, row.rollout.since if row.rollout is not None else 0.0


def choose_request(rows: Sequence[ApplicationRow], reachable: Collection[str], key: FleetKey) -> FleetRequest:
    """Return what a key requests: of the rollouts of which it was not requested before, or else of all again.

    Args:
        rows: of the applications that were chosen.
        reachable: the applications whose rollouts can be controlled from here.
        key: see `FleetKey`.
    """
    left_alone: dict[str, list[str]] = {}
    fresh: list[ApplicationRow] = []
    done: list[ApplicationRow] = []
    for row in sorted(rows, key=lambda row: row.attention):
        rollout = row.rollout
        if rollout is None or rollout.standing == "unfinished":
            left_alone.setdefault("no rollout runs", []).append(row.name)
        elif row.name not in reachable:
            left_alone.setdefault(f"controlled on {rollout.host} only", []).append(row.name)
        elif key == "pause" and rollout.phase == "aborting":
            left_alone.setdefault("being aborted", []).append(row.name)
        else:
            (done if rollout.phase == _PHASES[key] else fresh).append(row)
    if done and not fresh:
        return FleetRequest("resume" if key == "pause" else key, key == "abort", tuple(done), left_alone)
    if done:
        already = "paused already" if key == "pause" else "being aborted already"
        left_alone[already] = [row.name for row in done]
    return FleetRequest(key, False, tuple(fresh), left_alone)


async def request_of_rollouts(
    screen: Screen[str], overview: FleetOverview, names: Collection[str], key: FleetKey
) -> bool:
    """Ask about the rollouts of these applications, and send the request to each; return whether it was sent.

    Args:
        screen: shows the question, and what went wrong.
        overview: of all applications.
        names: of those that were chosen.
        key: see `FleetKey`.
    """
    from widgets.dialogs.modal import Confirm

    if not screen.is_active:
        return False  # the key has come twice before the question was there

    def choose() -> FleetRequest:
        rows = [row for row in overview.rows() if row.name in names]
        reachable = [name for name in names if overview.running_rollout(name) is not None]
        return choose_request(rows, reachable, key)

    request = choose()
    if not request.rows:
        reasons = [f"{fold_names(left)}: {why}" for why, left in request.left_alone.items()]
        screen.notify("; ".join(reasons), severity="warning", markup=False, timeout=4)
        return False

    def is_over() -> str:
        return "" if request.reduce_to(choose()).rows else request.ended

    variant = "error" if key == "abort" else "primary"
    choices = [("no", "Leave as is", "default"), ("yes", request.verb, variant)]
    dialog = Confirm(request.title, request.lines(), choices).withdraw_when(is_over)
    if await screen.app.push_screen_wait(dialog) != "yes":
        return False
    left = request.reduce_to(choose()).rows
    changed = [row.name for row in request.rows if row not in left]
    if changed:
        words = f"{fold_names(changed)}: left alone, the rollout has changed meanwhile"
        screen.notify(words, severity="warning", markup=False, timeout=8)
    rollouts = [(row.name, overview.running_rollout(row.name)) for row in left]
    # At the same time: a process that does not answer must not delay the others.
    await asyncio.gather(
        *(send_request(screen, rollout, request.what, name=name) for name, rollout in rollouts if rollout)
    )
    return True
