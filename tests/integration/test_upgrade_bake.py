"""A bake on a real HAProxy whose health checks are answered by the test, apart from the application."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from console.demo.haproxy import Checks
from console.demo.stack import Stack
from tests.support.rollouts import NEW, Run, started, tune, world
from tests.support.stacks import kill_application


class CheckPort:
    """Answers HAProxy's health checks with 200, and as many as it is told to with 503."""

    def __init__(self) -> None:
        self.port = 0
        self.lose = 0

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        status = "503 Service Unavailable" if self.lose else "200 OK"
        self.lose = max(0, self.lose - 1)
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()
        writer.close()


@asynccontextmanager
async def checked_apart(place: Path) -> AsyncIterator[tuple[Stack, CheckPort]]:
    """One node behind one HAProxy, which asks the `CheckPort` how the node is."""
    checks = CheckPort()
    async with await asyncio.start_server(checks.answer, "127.0.0.1", 0) as server:
        checks.port = server.sockets[0].getsockname()[1]
        async with world(
            place,
            nodes=1,
            instances=1,
            checks=Checks(inter=0.5, fall=3),
            backend_lines=[f"default-server port {checks.port}"],
        ) as stack:
            tune(stack, "apps.shop.rollout", min_available=0, bake_time=4)
            yield stack, checks


async def upgraded(stack: Stack, checks: CheckPort, *, lost: int, killed: bool) -> Run:
    """Upgrade, and lose so many checks once the node bakes; it is killed first, if that is wanted."""
    async with started(stack, "upgrade", "shop", NEW, "--yes", "--json") as running:
        await running.event("waiting", node="web1", step="verify", reason="baking")
        if killed:
            kill_application(stack.nodes["web1"])
        checks.lose = lost
        return await running.end()


def reasons(run: Run) -> set[str]:
    return {event["reason"] for event in run.events if event["event"] == "waiting"}


@pytest.mark.parametrize(("lost", "seen"), [pytest.param(1, "UP 2/3", marks=pytest.mark.long), (2, "UP 1/3")])
async def test_lost_checks_with_good_own_health_are_looked_at_further(
    tmp_path: Path, lost: int, seen: str
) -> None:
    async with checked_apart(tmp_path / "s") as (stack, checks):
        run = await upgraded(stack, checks, lost=lost, killed=False)
        assert run.code == 0, run.text
        assert f"failed a health check of HAProxy: {seen} on lb1" in reasons(run)
        assert set((await stack.instances["lb1"].statuses()).values()) == {"UP"}


async def test_checks_that_take_it_out_of_rotation_fail_the_bake(tmp_path: Path) -> None:
    async with checked_apart(tmp_path / "s") as (stack, checks):
        run = await upgraded(stack, checks, lost=20, killed=False)
        assert run.code == 1, run.text
        [failed] = [event for event in run.events if event["event"] == "node_failed"]
        assert "did not stay in rotation: DOWN" in failed["error"]


async def test_a_lost_check_with_bad_own_health_fails_the_bake_at_once(tmp_path: Path) -> None:
    async with checked_apart(tmp_path / "s") as (stack, checks):
        tune(stack, "apps.shop.health", successes=20, interval=1)  # its own health alone would take 20 s
        tune(stack, "apps.shop.rollout", bake_time=60, verify_timeout=60)
        run = await upgraded(stack, checks, lost=1, killed=True)
        assert run.code == 1, run.text
        [failed] = [event for event in run.events if event["event"] == "node_failed"]
        assert "failed a health check of HAProxy: UP 2/3 on lb1; own health: " in failed["error"]
