"""Who keeps a server out, from the bits and words of HAProxy."""

from typing import Any

import pytest

from backends.model import Admin, Operational
from orchestrator.balancers.admin_state import MaintenanceReason, find_maintenance_reasons
from tests.support.console_values import server
from tests.unit.test_haproxy_parse import VERSIONS, servers

OUT: dict[str, Any] = {"operational": Operational.STOPPED}


def who(**changes: Any) -> list[tuple[str, bool]]:
    return [(reason.who, reason.active) for reason in find_maintenance_reasons(server(**changes))]


def words(**changes: Any) -> str:
    return " | ".join(reason.text for reason in find_maintenance_reasons(server(**changes)))


# The servers of tests/capture_haproxy.py
CAPTURED = {
    "up": [("nobody", False)],
    "drained": [("operator", True)],
    "maint": [("operator", True)],
    "disabled": [("configuration", True)],
    "readied": [("configuration", False)],
    "zero": [("operator", True)],
    "follower": [("tracked", True)],
    "agent": [("nobody", False)],
    "dead": [("nobody", False)],
    "dead.drained": [("operator", True)],
    "six": [("configuration", True)],
    "unresolved": [("resolution", True)],
}


@pytest.mark.parametrize("version", VERSIONS)
def test_on_what_haproxy_really_said(version: str) -> None:
    found = servers(version)
    assert {
        name: [(reason.who, reason.active) for reason in find_maintenance_reasons(found[name])]
        for name in CAPTURED
    } == CAPTURED
    (follower,) = find_maintenance_reasons(found["follower"])
    assert "inherited from shop/maint" in follower.text


def test_there_is_always_one_and_it_says_what_is_left() -> None:
    assert words() == "no administrative hold"
    assert "health checks" in words(status="DOWN", check_health=0, **OUT)
    assert "the checks of shop/web9" in words(status="DOWN", track_target="shop/web9", **OUT)


def test_with_an_agent_it_is_not_told_who_forced_it() -> None:
    # Measured on 2.2 to 3.2: `DRAIN (agent)` also stands there when an operator drains and the agent says up.
    drained: dict[str, Any] = {"admin": Admin.FORCED_DRAIN, "status": "DRAIN (agent)"}
    assert who(agent=True, **drained) == [("operator or agent", True)]
    assert "last reply: up" in words(agent=True, last_agent="via agent : up", **drained)
    assert who(agent=False, agent_configured=True, **drained) == [("operator", True)]


def test_the_agent_says_down() -> None:
    down: dict[str, Any] = {"status": "DOWN (agent)", **OUT}
    assert find_maintenance_reasons(server(agent=True, last_agent="via agent : down (deploy)", **down)) == (
        MaintenanceReason("agent", "down by its agent check: down (deploy)"),
    )
    assert words(track_target="shop/web9", **down) == "down by the agent check of shop/web9, which it tracks"


def test_several_at_once_the_strongest_first() -> None:
    admin = Admin.RESOLUTION_MAINT | Admin.FORCED_MAINT | Admin.INHERITED_DRAIN
    assert who(admin=admin, weight=0, initial_weight=3) == [
        ("resolution", True),
        ("operator", True),
        ("tracked", True),
        ("operator", True),
    ]
    assert who(weight=0, initial_weight=0) == [("configuration", True)]
    assert "weight 0 at run time, by an operator or the agent" in words(weight=0, agent=True)
