"""The history of each node: where a rollback leads, and that it never undoes another rollback."""

from collections.abc import Mapping
from typing import Any

import pytest

from orchestrator.events.events import (
    AnyEvent,
    NodeFailed,
    NodeRolledBack,
    NodeStarted,
    NodeUpgraded,
    RolloutStarted,
)
from orchestrator.journal.entries import Entry
from orchestrator.journal.node_history import FleetHistory, WayBack
from tests.unit.journals import numbered

DONE, FAILED, LEFT = "done", "failed", "left"


def rollout(
    number: int, version: str, turns: dict[str, tuple[str, str]], kind: Any = "upgrade", **fields: Any
) -> tuple[Entry, list[Any]]:
    """One entry; `turns` has for each node the version before and what became of it."""
    events: list[AnyEvent] = [
        RolloutStarted(
            application="shop",
            version=version,
            nodes=list(turns),
            batches=[[name] for name in turns],
            operator="ann",
            before={name: before for name, (before, _) in turns.items()},
            kind=kind,
        )
    ]
    done = NodeRolledBack if kind == "rollback" else NodeUpgraded
    for name, (_, outcome) in turns.items():
        events.append(NodeStarted(node=name, version=version, originals=[]))
        if outcome == DONE:
            events.append(done(node=name, duration_s=1))
        if outcome == FAILED:
            events.append(NodeFailed(node=name, step="verify", error="503"))
    healthy = all(outcome == DONE for _, outcome in turns.values())
    follows, resumes = fields.get("follows"), fields.get("resumes", False)
    result = "healthy" if healthy else "degraded"
    plan = {"resumes": resumes}
    entry = Entry(number, kind, "shop", version, "ann", "here", 1, 1.0, 2.0, result, "", follows, plan, True)
    return entry, numbered(*events)


def way(*rollouts: tuple[Entry, list[Any]], entry: int | None = None) -> WayBack:
    found = FleetHistory(rollouts).way_back(entry)
    assert found is not None
    return found


UP = rollout(1, "1.5.0", {"web1": ("1.4.2", DONE), "web2": ("1.4.2", DONE)})
BACK = rollout(2, "1.4.2", {"web2": ("1.5.0", DONE), "web1": ("1.5.0", DONE)}, "rollback", follows=1)


def test_back_to_what_was_there_before() -> None:
    assert way(UP).wanted == {"web1": "1.4.2", "web2": "1.4.2"}


def test_what_was_rolled_back_is_not_rolled_back_again() -> None:
    found = way(UP, BACK)
    assert (found.entry, dict(found.wanted), found.returned) == (1, {}, {"web1": 2, "web2": 2})
    assert way(UP, BACK, entry=1) == found


def test_a_rollback_is_undone_when_it_is_asked_for_by_its_number() -> None:
    assert way(UP, BACK, entry=2).wanted == {"web2": "1.5.0", "web1": "1.5.0"}
    undone = rollout(3, "1.5.0", {"web1": ("1.4.2", DONE), "web2": ("1.4.2", DONE)}, "rollback", follows=2)
    assert way(UP, BACK, undone).wanted == {"web1": "1.4.2", "web2": "1.4.2"}


def test_versions_that_have_failed_are_passed_over() -> None:
    first = rollout(1, "1.6.0", {"web1": ("1.4.2", FAILED)})
    second = rollout(2, "1.6.1", {"web1": ("1.6.0", FAILED)})
    assert way(first, second).wanted == {"web1": "1.4.2"}
    assert way(first, rollout(2, "1.6.1", {"web1": ("1.6.0", LEFT)})).wanted == {"web1": "1.4.2"}
    good = rollout(1, "1.6.0", {"web1": ("1.4.2", DONE)})
    assert way(good, second).wanted == {"web1": "1.6.0"}


def test_a_version_that_was_healthy_and_failed_later_is_passed_over_too() -> None:
    restarted = rollout(2, "1.5.0", {"web1": ("1.5.0", FAILED)})
    assert way(UP, restarted).wanted == {"web1": "1.4.2"}


def test_what_was_resumed_is_one_rollout() -> None:
    killed = rollout(1, "1.5.0", {"web1": ("1.4.2", DONE), "web2": ("1.4.2", LEFT)})
    resumed = rollout(2, "1.5.0", {"web2": ("1.5.0", DONE), "web3": ("1.4.2", DONE)}, follows=1)
    found = way(killed, resumed)
    assert found.wanted == {"web1": "1.4.2", "web2": "1.4.2", "web3": "1.4.2"}


def test_a_rollback_that_was_resumed_is_none_to_be_undone() -> None:
    half = rollout(2, "1.4.2", {"web2": ("1.5.0", DONE), "web1": ("1.5.0", LEFT)}, "rollback", follows=1)
    assert way(UP, half).wanted == {"web1": "1.4.2"}
    for kind, resumes in (
        ("upgrade", False),
        ("rollback", True),
    ):  # earlier versions, and now
        rest = rollout(3, "1.4.2", {"web1": ("1.4.2", DONE)}, kind, follows=2, resumes=resumes)
        assert way(UP, half, rest).returned == {"web2": 2, "web1": 3}


def test_what_was_brought_back_by_an_upgrade_is_not_brought_to_the_failed_version_again() -> None:
    failed = rollout(1, "1.5.0", {"web1": ("1.4.2", DONE), "web2": ("1.4.2", FAILED)})
    by_hand = rollout(2, "1.4.2", {"web2": ("1.5.0", DONE)})
    found = way(failed, by_hand)
    assert (found.entry, found.wanted, found.returned) == (1, {"web1": "1.4.2"}, {"web2": 2})
    all_back = rollout(3, "1.4.2", {"web1": ("1.5.0", DONE)})
    assert way(failed, by_hand, all_back).returned == {"web1": 3, "web2": 2}


def test_an_upgrade_to_an_older_version_of_a_healthy_fleet_is_a_rollout_like_any_other() -> None:
    down = rollout(2, "1.4.2", {"web1": ("1.5.0", DONE), "web2": ("1.5.0", DONE)})
    assert way(UP, down).wanted == {"web1": "1.5.0", "web2": "1.5.0"}


def test_nobody_knows_what_was_there_before() -> None:
    assert way(rollout(1, "1.5.0", {"web1": ("", DONE)})).unknown == ["web1"]
    assert FleetHistory([]).way_back() is None
    assert FleetHistory([UP]).way_back(7) is None


@pytest.mark.parametrize(("outcome", "failed"), [(FAILED, True), (DONE, False), (LEFT, False)])
def test_a_failed_version_is_known_until_it_was_well(outcome: str, failed: bool) -> None:
    history = FleetHistory([rollout(1, "1.5.0", {"web1": ("1.4.2", outcome)})])
    assert (history.failure("web1", "1.5.0") is not None) is failed
    assert history.failure("web1", "1.4.2") is None
    later = rollout(2, "1.5.0", {"web1": ("1.5.0", DONE)})
    history = FleetHistory([rollout(1, "1.5.0", {"web1": ("1.4.2", outcome)}), later])
    assert history.failure("web1", "1.5.0") is None


def test_a_node_that_an_operator_brought_back_during_the_upgrade_needs_no_rollback() -> None:
    entry, records = rollout(1, "1.5.0", {"web1": ("1.4.2", DONE), "web2": ("1.4.2", FAILED)})
    returned: list[AnyEvent] = [
        NodeStarted(node="web2", version="1.4.2", originals=[]),
        NodeRolledBack(node="web2", duration_s=1, version="1.4.2"),
    ]
    up = (entry, numbered(*(record.event for record in records), *returned))
    found = way(up)
    assert (dict(found.wanted), found.returned) == ({"web1": "1.4.2"}, {"web2": 1})
    history = FleetHistory([up])
    assert history.failure("web2", "1.5.0") is not None
    assert history.nodes["web2"].healthy == ["1.4.2"]
    again = NodeUpgraded(node="web2", duration_s=1, version="1.5.0")
    upgraded = (entry, numbered(*(record.event for record in up[1]), again))
    assert dict(way(upgraded).wanted) == {"web1": "1.4.2", "web2": "1.4.2"}
    only = rollout(1, "1.5.0", {"web2": ("1.4.2", FAILED)})
    alone = (only[0], numbered(*(record.event for record in only[1]), *returned))
    assert (dict(way(alone).wanted), way(alone).returned) == ({}, {"web2": 1})


def test_a_version_before_is_called_as_installers_call_it() -> None:
    """Earlier versions wrote there what the application reports of it, which no installer knows."""
    first = rollout(1, "1.5.0-1", {"web1": ("1.4.2", DONE), "web2": ("1.4.2", FAILED)})
    observed = [{"node": "web1", "installed": "1.4.2-1"}, {"node": "web2", "installed": "1.4.3-1"}]
    first[0].plan["nodes"] = observed
    second = rollout(2, "1.6.0-1", {"web1": ("1.5.0", DONE)})
    back = rollout(3, "1.5.0-1", {"web1": ("1.6.0", DONE)}, "rollback", follows=2)

    def wanted(entry: int, *rollouts: tuple[Entry, list[Any]]) -> Mapping[str, str]:
        found = FleetHistory(rollouts, version_regex="^([^-]+)").way_back(entry)
        assert found is not None
        return found.wanted

    assert wanted(1, first) == {"web1": "1.4.2-1", "web2": "1.4.2"}
    assert wanted(2, first, second) == {"web1": "1.5.0-1"}
    assert wanted(3, first, second, back) == {"web1": "1.6.0-1"}
    failed = rollout(2, "1.6.0-1", {"web1": ("1.5.0", FAILED)})
    assert wanted(3, first, failed, rollout(3, "1.7.0-1", {"web1": ("1.6.0", DONE)})) == {"web1": "1.5.0-1"}
    first[0].plan["nodes"] = [{"node": 3}, "no node"]
    assert wanted(1, first) == {"web1": "1.4.2", "web2": "1.4.2"}
