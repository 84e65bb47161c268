"""The log of real runs: what is in it, what only `--debug` adds, and that nothing of it is printed."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from console.demo.stack import Stack
from tests.support.rollouts import NEW, rolldeck, tune, upgrade, world


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    async with world(tmp_path / "s", port_check_from="node", nodes=2) as made:
        yield made


def logged(stack: Stack) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (stack.directory / "rolldeck.log").read_text().splitlines()]


async def test_an_upgrade_is_in_the_log_event_by_event(stack: Stack) -> None:
    run = await upgrade(stack)
    assert run.code == 0, run.text
    told = [event["event"] for event in run.events if event["event"] != "waiting"]
    assert [entry["event"] for entry in logged(stack) if entry["event"] != "waiting"] == told
    assert {entry["application"] for entry in logged(stack)} == {"shop"}
    assert "wire" not in told


async def test_debug_adds_the_wire_and_prints_none_of_it(stack: Stack) -> None:
    plain = await rolldeck(stack, "check", "shop", NEW)
    assert logged(stack) == []
    debugged = await rolldeck(stack, "--debug", "check", "shop", NEW)
    assert (debugged.out, debugged.err) == (plain.out, plain.err)
    wire = logged(stack)
    assert {exchange["event"] for exchange in wire} == {"wire"}
    assert all(len(exchange["reply"]) <= 4096 and len(exchange["command"]) <= 4096 for exchange in wire)
    asked = [(exchange["target"], exchange["command"]) for exchange in wire]
    assert any(target == "lb1" and "show stat" in command for target, command in asked)
    assert any(target == "web1" and "readlink" in command for target, command in asked), asked
    [health, *_] = [
        exchange
        for exchange in wire
        if exchange["command"].startswith("GET ") and "/health" in exchange["command"]
    ]
    assert health["ok"]
    assert health["reply"].startswith("200\n")


async def test_a_log_that_cannot_be_written_stops_nothing(stack: Stack) -> None:
    tune(stack, "log", path="/proc/no/such/place.log")
    run = await upgrade(stack)
    assert run.code == 0, run.text
    assert run.err.count("the log /proc/no/such/place.log cannot be written") == 1
