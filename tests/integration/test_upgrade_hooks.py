"""Real upgrades with hooks: told in order, able to stop a rollout, and quiet about their secrets."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from console.demo.stack import Stack
from tests.integration.test_hooks import TOKEN, gone, receiving
from tests.support.rollouts import NEW, OLD, rolldeck, started, untouched, upgrade, versions, world
from tests.support.wait import until
from tests.unit import journals


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    async with world(tmp_path / "s", nodes=2) as made:
        yield made


def add_hook(stack: Stack, **settings: object) -> None:
    """To those of the application shop."""
    lines = "\n".join(f"{key} = {json.dumps(value)}" for key, value in settings.items())
    with stack.config_path.open("a") as file:
        file.write(f"\n[[apps.shop.hooks]]\n{lines}\n")


def fired(events: list[dict[str, Any]]) -> list[tuple[str, str, bool]]:
    found = [event for event in events if event["event"] == "hook_fired"]
    return [(entry["moment"], entry["node"], entry["ok"]) for entry in found]


async def test_a_start_hook_that_objects_touches_nothing(stack: Stack) -> None:
    add_hook(stack, events=["start"], command="echo 'the board is red' >&2; exit 1", on_failure="stop")
    before = await untouched(stack), [(node.pid, node.installed) for node in stack.nodes.values()]
    run = await upgrade(stack)
    assert run.code == 1, run.text
    assert (run.ended["result"], run.ended["pending"]) == ("degraded", ["web1", "web2"])
    assert "apps.shop.hooks.0 (command) at start: exit status 1: the board is red" in run.ended["reason"]
    assert "no node was touched" in run.err
    assert run.sent == []
    assert (await untouched(stack), [(n.pid, n.installed) for n in stack.nodes.values()]) == before


async def test_commands_are_told_of_a_whole_upgrade(stack: Stack) -> None:
    told = stack.directory / "told"
    add_hook(stack, events=["start", "node", "end"], command=f"cat >> {told}")
    run = await upgrade(stack)
    assert run.code == 0, run.text
    heard = [json.loads(line) for line in told.read_text().splitlines()]
    assert [(payload["moment"], payload["node"]) for payload in heard] == [
        ("start", ""),
        ("node", "web1"),
        ("node", "web2"),
        ("end", ""),
    ]
    assert heard[0]["before"] == {"web1": OLD, "web2": OLD}
    assert (heard[-1]["result"], heard[-1]["upgraded"]) == ("healthy", ["web1", "web2"])
    assert fired(run.events) == [
        ("start", "", True),
        ("node", "web1", True),
        ("node", "web2", True),
        ("end", "", True),
    ]
    assert [event["event"] for event in run.events[-2:]] == ["rollout_ended", "hook_fired"]


async def test_each_is_told_the_head_of_the_journal_and_a_changed_journal_has_another(stack: Stack) -> None:
    told = stack.directory / "told"
    add_hook(stack, events=["start", "node", "end"], command=f"cat >> {told}")
    run = await upgrade(stack)
    assert run.code == 0, run.text
    heads = [json.loads(line)["journal_head"] for line in told.read_text().splitlines()]
    by_number = {event["seq"]: event["event"] for event in run.events}
    found = []
    for head in heads:
        verified = await rolldeck(stack, "history", "verify", "--json", "--head", head)
        assert verified.code == 0, verified.text
        found.append(by_number[json.loads(verified.out.splitlines()[-1])["head_found"]["seq"]])
    assert found == ["rollout_started", "node_upgraded", "node_upgraded", "rollout_ended"]
    journals.change(stack.directory / "journal.db", "UPDATE entries SET operator = 'bob@here'")
    verified = await rolldeck(stack, "history", "verify")
    assert (verified.code, "entry 1: BROKEN" in verified.out) == (1, True), verified.text


async def test_a_node_hook_that_objects_stops_before_the_next_drain(stack: Stack) -> None:
    async with receiving(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n") as (url, heard):
        add_hook(stack, events=["node"], url=url, on_failure="stop")
        run = await upgrade(stack)
    assert run.code == 1, run.text
    assert len(heard) == 1
    assert (run.ended["upgraded"], run.ended["pending"]) == (["web1"], ["web2"])
    assert "HTTP 500, expected 2xx" in run.ended["reason"]
    assert await versions(stack) == {"web1": NEW, "web2": OLD}
    assert "web2" not in " ".join(command for _, command in run.sent if command.startswith("set server"))


async def test_ctrl_c_ends_a_hook_that_hangs_with_its_children(stack: Stack) -> None:
    pid = stack.directory / "hook.pid"
    command = f"sleep 65 & echo $! > {pid}; wait"
    add_hook(stack, events=["start"], command=command, timeout=60, on_failure="stop")
    async with started(stack, "upgrade", "shop", NEW, "--yes", "--json") as running:
        await until(lambda: pid.exists() and pid.read_text().strip() != "")
        running.signal(signal.SIGINT)
        async with asyncio.timeout(50):  # the hook itself would take longer
            run = await running.end()
    assert run.code == 4, run.text
    assert run.ended["result"] == "aborted"
    assert run.ended["pending"] == ["web1", "web2"]
    await until(lambda: gone(int(pid.read_text())))


async def test_no_token_is_seen_anywhere(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAT_TOKEN", TOKEN)
    answer = f"HTTP/1.1 403 {TOKEN}\r\nContent-Length: {len(TOKEN)}\r\n\r\n{TOKEN}".encode()
    async with receiving(answer) as (url, heard):
        add_hook(stack, events=["start", "node", "end"], url=f"{url}/path-{TOKEN}", token_env="CHAT_TOKEN")
        run = await rolldeck(stack, "--debug", "upgrade", "shop", NEW, "--yes", "--json")
    assert run.code == 0, run.text
    assert [TOKEN in head for head, _ in heard] == [True] * 4
    assert fired(run.events)[0] == ("start", "", False)
    assert TOKEN not in run.text
    log = (stack.directory / "rolldeck.log").read_text()
    assert "hook_fired" in log
    assert TOKEN not in log
    assert not [path for path in written(stack.directory) if TOKEN.encode() in path.read_bytes()]


def written(folder: Path) -> list[Path]:
    """All that was written there, but for the configuration, in which the test's URL stands."""
    return [
        Path(place, name)
        for place, _, names in os.walk(folder)
        for name in names
        if name != "config.toml" and Path(place, name).is_file()
    ]
