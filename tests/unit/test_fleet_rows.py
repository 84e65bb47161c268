"""The rows of applications: what comes first, and what is said of rollouts."""

import time
from dataclasses import replace
from typing import Any

import pytest

from orchestrator.balancers.response_times import ResponseTime
from orchestrator.events import events
from orchestrator.events.actor import Actor
from orchestrator.events.state import RolloutState
from orchestrator.fleet.rollout_line import RolloutLine, format_since, line_of_state, name_some
from orchestrator.fleet.row import ApplicationRow, Attention, count_versions
from orchestrator.fleet.text import (
    NO_VALUE,
    describe_state,
    format_availability,
    format_errors,
    format_rate,
    format_response,
    format_versions,
)
from orchestrator.live.availability import Availability
from orchestrator.live.traffic import Traffic
from orchestrator.planning.application import Frozen
from tests.unit.journals import numbered

NOW = time.mktime((2026, 11, 29, 9, 0, 0, 0, 0, -1))
STARTED = events.RolloutStarted(
    application="shop",
    kind="upgrade",
    version="1.5.0",
    nodes=["web1", "web2", "web3"],
    batches=[["web1", "web2"], ["web3"]],
    operator="ann@here",
)


def line(**changes: Any) -> RolloutLine:
    fields: dict[str, Any] = {
        "standing": "running",
        "kind": "upgrade",
        "version": "1.5.0",
        "done": 1,
        "total": 3,
        "action": "verifies web2",
        "operator": "ann@here",
        "host": "here",
        "since": NOW - 60,
    }
    return RolloutLine(**(fields | changes))


def row(**changes: Any) -> ApplicationRow:
    fields: dict[str, Any] = {"availability": Availability(("web1", "web2"))}
    return ApplicationRow("shop", **(fields | changes))


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (row(), Attention.QUIET),
        (row(availability=Availability(("a", "b"), out=("a",))), Attention.OUT),
        (row(rollout=line(standing="unfinished", nodes=("web2",))), Attention.UNFINISHED),
        (row(rollout=line()), Attention.ROLLING),
        (row(availability=Availability(("a", "b"), down=("a",)), rollout=line()), Attention.BROKEN),
        # A node that a rollout works on is expected to be down for a moment.
        (
            row(availability=Availability(("a", "b"), down=("a",)), rollout=line(at_work=("a",))),
            Attention.ROLLING,
        ),
        (row(problem="lb1: connection refused"), Attention.BROKEN),
        (row(traffic=Traffic(errors=0.06)), Attention.BROKEN),
        (row(traffic=Traffic(errors=0.01)), Attention.QUIET),
        (row(rollout=line(standing="waits", questions=("web2",)), problem="lb1: no answer"), Attention.WAITS),
    ],
)
def test_what_is_most_urgent(found: ApplicationRow, expected: Attention) -> None:
    assert found.attention is expected


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (line(remaining_s=190.0), "→ 1.5.0 1/3 · verifies web2 · 3:10"),
        (line(kind="rollback", version="1.4.2"), "↩ 1.4.2 1/3 · verifies web2"),
        (line(phase="paused", action="paused by ann", remaining_s=9.0), "→ 1.5.0 1/3 · paused by ann"),
        (
            line(standing="unfinished", nodes=("web5",), since=NOW - 86400),
            "left: web5 since yesterday (resume)",
        ),
        (
            line(standing="unfinished", nodes=("a", "b", "c"), may_roll_back=True),
            "left: a and 2 more since 08:59 (roll back)",
        ),
        (
            line(standing="unfinished", done=2, since=NOW - 5 * 86400),
            "left: 2/3 to 1.5.0 since 24 Nov (resume)",
        ),
    ],
)
def test_a_rollout_in_words(found: RolloutLine, expected: str) -> None:
    assert found.text(NOW) == expected


def test_some_names_and_days() -> None:
    assert [name_some(list("abc")[:count]) for count in range(4)] == ["", "a", "a, b", "a and 2 more"]
    assert [format_since(at, NOW) for at in (0, NOW - 300 * 86400, NOW - 400 * 86400)] == [
        "",
        "since 2 Feb",
        "since 25 Oct 2025",
    ]


def test_the_line_of_a_rollout_follows_its_events() -> None:
    def fold(*more: events.AnyEvent) -> RolloutLine:
        return line_of_state(RolloutState.of(numbered(STARTED, *more)), "ann@here", "here", 7)

    ann = Actor("ann@here", "console")
    begun = events.StepStarted(node="web1", step="drain")
    assert (fold().action, fold().total, fold().entry) == ("goes on", 3, 7)
    assert (fold(begun).action, fold(begun).at_work) == ("drains web1", ("web1",))
    assert fold(begun, events.StepStarted(node="web2", step="verify")).action == "drains web1 and 1 more"
    paused = fold(begun, events.Paused(who=ann.name, via=ann.via, why=""))
    assert (paused.phase, paused.action, paused.is_moving) == ("paused", "paused by ann@here", False)
    asks = events.DecisionRequested(question="q", subject="web2", text="go on?", choices=["continue"])
    waits = fold(begun, asks)
    assert (waits.standing, waits.action, waits.questions) == ("waits", "waits for you: web2", ("web2",))
    waits = fold(begun, asks, events.Paused(who=ann.name, via=ann.via, why=""))
    assert (waits.standing, waits.action) == ("waits", "waits for you: web2 (paused)")
    aborting = fold(events.AbortRequested(who="ann@here", why="", immediate=False))
    assert aborting.action == "is being aborted"


def test_figures() -> None:
    busy = row(
        availability=Availability(("a", "b", "c"), out=("c",)),
        versions=(("1.5.0", 1), ("1.4.2", 1)),
        traffic=Traffic(rate=1840.4, errors=0.001, response=ResponseTime(18, is_recent=True)),
    )
    texts = format_availability, format_versions, format_rate, format_errors, format_response
    assert [text(busy) for text in texts] == ["2/3", "1.5.0 ×1  1.4.2 ×1  ? ×1", "1,840", "0.1", "18"]
    unknown = row(availability=None, traffic=Traffic(errors_known=False))
    assert [text(unknown) for text in texts] == ["?", "", NO_VALUE, "?", NO_VALUE]
    slow = replace(busy, traffic=Traffic(rate=4.04, errors=1.0, response=ResponseTime(7, is_recent=False)))
    assert [format_rate(slow), format_errors(slow), format_response(slow)] == ["4.0", "100", "~7"]


def test_versions_are_counted_of_nodes_that_are_there() -> None:
    nodes = Availability(("a", "b", "c"))
    known = {"a": "1", "b": "1", "gone": "0"}
    assert count_versions(nodes, known) == (("1", 2),)
    assert count_versions(None, known) == (("1", 2), ("0", 1))


def test_the_state_of_an_application_in_words() -> None:
    frozen = Frozen(NOW + 3600, "sale", "")
    assert describe_state(row(), NOW) == ""
    assert describe_state(row(frozen=frozen), NOW) == "frozen until Sun 10:00: sale"
    assert describe_state(row(rollout=line(), frozen=frozen), NOW) == "→ 1.5.0 1/3 · verifies web2"
    down = Availability(("a", "b"), down=("a",))
    assert describe_state(row(availability=down, rollout=line()), NOW).endswith("web2 · down: a")
    assert describe_state(row(availability=Availability(("a", "b"), out=("a",))), NOW) == "out: a"
    assert describe_state(row(problem="lb1: no answer"), NOW) == "lb1: no answer"
