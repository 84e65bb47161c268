"""Sessions that are in the way of a drain: deadlines, persistence, and what happens to those in flight."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from console.demo.connection import Connection, Response
from console.demo.stack import Stack
from tests.support.rollouts import (
    NEW,
    OLD,
    Running,
    edit_haproxy,
    started,
    states,
    tune,
    until_up,
    upgrade,
    versions,
    world,
)

UPGRADE = ("upgrade", "shop", NEW, "--yes", "--json", "--limit", "web1")


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    async with world(tmp_path / "s", nodes=2, instances=1) as made:
        tune(made, "apps.shop.rollout", drain_timeout=0.5, maint_grace_period=0.3, min_available=1)
        yield made


async def slow_request(stack: Stack, seconds: float) -> "asyncio.Task[Response]":
    """A request on web1 that lasts so long; returns once HAProxy counts it."""
    for _ in range(4):
        connection = await Connection.open(*stack.frontends[0])
        request = asyncio.create_task(connection.get(f"/slow?seconds={seconds:g}", keep_alive=False))
        await asyncio.sleep(0.1)
        if await sessions(stack, "web1"):
            return request
        request.cancel()
    raise AssertionError("no request came to web1")


async def sessions(stack: Stack, node: str) -> int:
    lines = (await stack.instances["lb1"].ask("show stat")).removeprefix("# ").splitlines()
    rows = [dict(zip(lines[0].split(","), line.split(","), strict=False)) for line in lines[1:]]
    return next(int(row["scur"]) for row in rows if row.get("svname") == node)


async def test_a_session_that_outlives_the_deadline_is_finished_by_a_polite_stop(stack: Stack) -> None:
    request = await slow_request(stack, 10.0)
    run = await upgrade(stack, NEW, "--limit", "web1")
    assert run.code == 0, run.text
    drained = next(
        event for event in run.events if event["event"] == "step_done" and event["step"] == "drain"
    )
    assert drained["detail"] == "forced to maintenance, 1 session left"
    assert (await request).status == 200, "the application ends what it has begun"


async def test_sessions_left_fail_keeps_the_old_version_running(stack: Stack) -> None:
    tune(stack, "apps.shop.rollout", on_remaining_sessions="fail")
    request = await slow_request(stack, 15.0)
    run = await upgrade(stack, NEW, "--limit", "web1")
    assert run.code == 1, run.text
    assert (run.ended["failed"], run.ended["put_back"]) == ([], ["web1"])  # it was never stopped
    assert run.ended["out_of_rotation"] == []
    assert {server.admin for server in (await states(stack))["lb1"].values()} == {0}
    assert (await request).status == 200
    assert (await versions(stack))["web1"] == OLD


async def test_sessions_left_shutdown_cuts_them_and_says_so(stack: Stack) -> None:
    tune(stack, "apps.shop.rollout", on_remaining_sessions="shutdown")
    reader, writer = await asyncio.open_connection(*stack.frontends[0])
    writer.write(b"GET /download?seconds=30 HTTP/1.1\r\nHost: x\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    [node] = [name for name in stack.nodes if await sessions(stack, name)]
    run = await upgrade(stack, NEW, "--limit", node)
    assert run.code == 0, run.text
    notes = [event["text"] for event in run.events if event["event"] == "node_note"]
    assert any("shut down (on_remaining_sessions)" in note for note in notes), notes
    assert not (await reader.read()).endswith(b"0\r\n\r\n"), "the download is cut"
    writer.close()


async def test_clients_with_a_cookie_are_moved_by_maintenance(tmp_path: Path) -> None:
    """They reach a draining server until the deadline; after it they are served elsewhere."""
    lines = ["cookie SRV insert indirect nocache"]
    async with world(tmp_path / "s", nodes=2, instances=1, backend_lines=lines) as stack:
        await edit_haproxy(stack, lambda text: re.sub(r"(server (web\d) .*)", r"\1 cookie \2", text))
        await until_up(stack, "shop")
        tune(stack, "apps.shop.rollout", drain_timeout=1, min_available=1)
        async with started(stack, *UPGRADE) as running:
            client = asyncio.create_task(loyal_client(stack, running))
            run = await running.end()
            seen = await client
    assert run.code == 0, run.text
    reasons = {event["reason"] for event in run.events if event["event"] == "waiting"}
    assert "sessions: 1 on lb1" in reasons
    assert all(status == 200 for status, _ in seen)
    assert "web2" in [node for _, node in seen], "maintenance moves them"


async def loyal_client(stack: Stack, running: Running) -> list[tuple[int, str]]:
    """Asks again and again with the cookie of web1, as long as the upgrade runs."""
    seen = []
    while running.process.returncode is None:
        reader, writer = await asyncio.open_connection(*stack.frontends[0])
        writer.write(
            b"GET /slow?seconds=0.3 HTTP/1.1\r\nHost: x\r\nCookie: SRV=web1\r\nConnection: close\r\n\r\n"
        )
        status, _, body = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
        seen.append((int(status.split()[1]), str(json.loads(body)["node"]) if body.startswith(b"{") else ""))
    return seen
