"""Servers and backends at their limit are said in `rolldeck status`."""

import json
from pathlib import Path

import pytest

from backends.model import Load
from orchestrator.balancers.saturation import find_saturation
from tests.support.loads import loaded, snapshot
from tests.unit.test_status import shown

FULL = snapshot(
    loaded("web1", sessions=8, limit=10, sessions_max=9, rate=40, rate_max=66),
    loaded("web2", sessions=7, limit=10, queue=2),
    loaded("web3", sessions=700),
    queue=3,
)
RELAXED = snapshot(loaded("web1", sessions=7, limit=10), loaded("web2", sessions=9))


def test_a_queue_and_servers_close_to_their_limit() -> None:
    (found,) = find_saturation(FULL)
    assert (found.instance, found.backend, found.queue) == ("lb1", "shop", 5)
    assert found.text == "5 requests in the queue; web1 has 8 of 10 sessions"
    assert not list(find_saturation(RELAXED))


def test_only_some_of_many_servers_are_named() -> None:
    (found,) = find_saturation(snapshot(*(loaded(f"web{n}", sessions=9, limit=9) for n in range(1, 12))))
    assert found.text.endswith("web8 has 9 of 9 sessions; 3 more servers likewise")


def test_status_says_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    code, out = shown(monkeypatch, tmp_path, {"lb1": FULL}, "shop")
    assert code == 0
    assert "! shop on lb1 is at its limit: 5 requests in the queue; web1 has 8 of 10 sessions\n" in out
    assert "at its limit" not in shown(monkeypatch, tmp_path, {"lb1": RELAXED}, "shop")[1]


def test_status_says_it_in_json(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _, out = shown(monkeypatch, tmp_path, {"lb1": FULL}, "shop", "--json")
    lines = [json.loads(line) for line in out.splitlines()]
    [found] = [line for line in lines if line["kind"] == "saturation"]
    assert (found["load_balancer"], found["backend"], found["queue"]) == ("lb1", "shop", 5)
    assert found["servers"] == [{"server": "web1", "sessions": 8, "session_limit": 10}]
    server = next(line for line in lines if line["kind"] == "server" and line["server"] == "web1")
    figures = Load(server["rate"], server["rate_max"], server["sessions_max"], server["session_limit"])
    assert figures == Load(40, 66, 9, 10)
