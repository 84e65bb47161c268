"""Drains on a real HAProxy with downloads that do not end: what the plan says, and how they are closed."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from console.demo.stack import Stack
from tests.integration.test_upgrade_sessions import sessions
from tests.support.rollouts import NEW, rolldeck, tune, upgrade, world
from tests.support.servers.haproxy import haproxy_binaries

PACE = 5


@asynccontextmanager
async def downloads(stack: Stack, count: int) -> AsyncIterator[list[asyncio.StreamReader]]:
    """So many downloads of a minute, which have begun."""
    readers, writers = [], []
    try:
        for _ in range(count):
            reader, writer = await asyncio.open_connection(*stack.frontends[0])
            writers.append(writer)
            writer.write(b"GET /download?seconds=60 HTTP/1.1\r\nHost: x\r\n\r\n")
            await reader.readuntil(b"\r\n\r\n")
            readers.append(reader)
        yield readers
    finally:
        for writer in writers:
            writer.close()


async def youngest(stack: Stack) -> int:
    """The age of the youngest session, as HAProxy itself says it."""
    ages = re.findall(r" srv=web\d .* age=(\d+)s ", await stack.instances["lb1"].ask("show sess"))
    return min(map(int, ages), default=0)


@pytest.mark.long
@pytest.mark.parametrize("binary", haproxy_binaries())
async def test_the_plan_says_that_a_drain_will_not_end_and_pace_closes_what_remains(
    tmp_path: Path, binary: Path
) -> None:
    async with world(tmp_path / "s", nodes=2, instances=1, haproxy=str(binary)) as stack:
        tune(
            stack,
            "apps.shop.rollout",
            drain_timeout=1,
            maint_grace_period=0.5,
            min_available=1,
            on_remaining_sessions="pace",
            pace_per_second=PACE,
        )
        async with downloads(stack, 24) as readers:
            on_web1 = await sessions(stack, "web1")
            assert on_web1 > PACE
            async with asyncio.timeout(60):
                while await youngest(stack) < 2:
                    await asyncio.sleep(0.1)
            planned = await rolldeck(stack, "plan", "shop", NEW)
            assert planned.code == 0, planned.text
            warning = next(line for line in planned.out.splitlines() if "older than 1 s" in line)
            assert re.search(r"web1, web2: 24 of 24 sessions are older than 1 s \(oldest \d", warning)
            assert "the drain will not end within drain_timeout" in warning
            assert '"pace" closes them, the oldest first, 5 per second' in warning
            assert f"not over within 1.0 s (100%), {on_web1} sessions now, oldest" in planned.out
            assert "drains are forecast from session ages" in planned.out
            assert "(`shutdown session ID`)" in planned.out

            run = await upgrade(stack, NEW, "--limit", "web1")
            assert run.code == 0, run.text
            lines = [command for target, command in run.sent if "shutdown session " in command]
            counts = [command.count("shutdown session ") for command in lines]
            assert sum(counts) == on_web1
            assert max(counts) <= 2 * PACE
            assert len(counts) >= on_web1 / (2 * PACE)
            notes = [event["text"] for event in run.events if event["event"] == "node_note"]
            assert any(f"closed {on_web1} sessions, 5 per second" in note for note in notes), notes
            (drained,) = [event for event in run.events if event["event"] == "drained"]
            assert drained["left"][0] == drained["left"][-1] == on_web1
            assert await sessions(stack, "web2") == 24 - on_web1, "the others go on"
            ended = [reader for reader in readers if reader.at_eof() or await ends(reader)]
            assert len(ended) == on_web1

        again = await rolldeck(stack, "plan", "shop", NEW)
        assert "from session ages and 1 earlier drain" in again.out or "from 1 earlier drain" in again.out


async def ends(reader: asyncio.StreamReader) -> bool:
    """Read what came so far; return whether the connection has ended."""
    try:
        async with asyncio.timeout(0.3):
            await reader.read()
    except TimeoutError:
        return False
    return True
