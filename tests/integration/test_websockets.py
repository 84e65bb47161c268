"""Real websockets through a real HAProxy, which never end by themselves: what a drain says and does then."""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from console.demo.app import CLOSE, PING, PONG, TEXT, accept_key
from console.demo.load import Load, Report
from console.demo.stack import Stack
from console.demo.websockets import WebSockets
from tests.integration.test_ramp import one_haproxy
from tests.integration.test_upgrade_sessions import sessions
from tests.support.canary_cases import CASES
from tests.support.canary_trials import try_out
from tests.support.rollouts import NEW, Run, rolldeck, tune, upgrade, world
from tests.support.servers.haproxy import haproxy_binaries
from tests.support.wait import until

COUNT = 20
PACE = 5
DRAIN_TIMEOUT_S = 1.0
IN_FLIGHT = 3  # requests at the end of the rollout, beside the websockets
LONG = pytest.mark.long


@asynccontextmanager
async def busy_world(place: Path, binary: Path, policy: str) -> AsyncIterator[tuple[Stack, Load, WebSockets]]:
    """Two nodes with websockets that are older than `drain_timeout`, and requests beside them."""
    async with world(place, nodes=2, instances=1, haproxy=str(binary)) as stack:
        tune(
            stack,
            "apps.shop.rollout",
            drain_timeout=DRAIN_TIMEOUT_S,
            maint_grace_period=0.2,
            min_available=1,
            on_remaining_sessions=policy,
            pace_per_second=PACE,
        )
        load = Load(40, stack.frontends, slow_share=0.0)
        async with load, WebSockets(COUNT, stack.frontends) as websockets:
            await asyncio.sleep(DRAIN_TIMEOUT_S + 1)  # HAProxy tells ages in whole seconds
            yield stack, load, websockets


async def roll_out(stack: Stack, load: Load, websockets: WebSockets) -> tuple[Run, Report]:
    """Upgrade web1; all of the websockets are open again at the end."""
    run = await upgrade(stack, NEW, "--limit", "web1")
    await until(lambda: websockets.by_node.total() == COUNT)
    return run, await load.stop()


def assert_nobody_is_blamed(run: Run, report: Report, websockets: WebSockets) -> None:
    """No request failed, every websocket was opened again, and the judgement saw no error."""
    assert (report.total_failed, websockets.failed) == (0, 0), (report.failures, websockets.failures)
    (traffic,) = [event for event in run.events if event["event"] == "traffic"]
    assert traffic["errors"] == 0, traffic
    assert traffic["unattributed"] <= IN_FLIGHT, traffic
    states = {event["state"] for event in run.events if event["event"] == "verdict"}
    assert not states & {"bad", "hold"}, run.text


@pytest.mark.parametrize("binary", one_haproxy())
async def test_the_plan_says_so_and_pace_closes_them_one_after_the_other(
    tmp_path: Path, binary: Path
) -> None:
    async with busy_world(tmp_path / "s", binary, "pace") as (stack, load, websockets):
        on_web1 = websockets.by_node["web1"]
        assert on_web1 > PACE
        planned = await rolldeck(stack, "plan", "shop", NEW, "--limit", "web1")
        warning = next(line for line in planned.out.splitlines() if "older than 1 s" in line)
        assert f"{COUNT} of " in warning
        assert "the drain will not end within drain_timeout" in warning
        assert "not over within 1.0 s (100%)" in planned.out

        run, report = await roll_out(stack, load, websockets)
        assert run.code == 0, run.text
        assert_nobody_is_blamed(run, report, websockets)
        assert (websockets.cut, websockets.closed) == (on_web1, 0)
        # Clients were moved; the last ones may come when web1 is back.
        assert websockets.by_node["web2"] > COUNT - on_web1
        lines = [command for _, command in run.sent if "shutdown session " in command]
        counts = [command.count("shutdown session ") for command in lines]
        assert (sum(counts), max(counts) <= 2 * PACE) == (on_web1, True), counts


@LONG
@pytest.mark.parametrize("policy", ["proceed", "fail", "shutdown"])
@pytest.mark.parametrize("binary", haproxy_binaries())
async def test_what_becomes_of_them_with_other_policies(tmp_path: Path, binary: Path, policy: str) -> None:
    async with busy_world(tmp_path / "s", binary, policy) as (stack, load, websockets):
        on_web1 = websockets.by_node["web1"]
        run, report = await roll_out(stack, load, websockets)
        assert_nobody_is_blamed(run, report, websockets)
        # The application tells its clients that it goes away.
        expected = {"proceed": (on_web1, 0), "fail": (0, 0), "shutdown": (0, on_web1)}[policy]
        assert (websockets.closed, websockets.cut) == expected
        if policy == "fail":
            assert (run.code, run.ended["put_back"]) == (1, ["web1"]), run.text
            assert websockets.by_node["web1"] == on_web1
            assert await sessions(stack, "web1") >= on_web1
        else:
            assert run.code == 0, run.text


@LONG
@pytest.mark.parametrize("binary", haproxy_binaries())
async def test_a_good_version_with_websockets_is_rolled_out(tmp_path: Path, binary: Path) -> None:
    done = await try_out(tmp_path / "s", replace(CASES["good-websockets"], haproxy=str(binary)))
    assert (done["code"], done["out_at_end"]) == (0, []), done
    assert set(done["versions"].values()) == {"1.6.0"}
    assert {verdict["state"] for verdict in done["verdicts"]} <= {"blind", "good"}, done["verdicts"]
    assert done["websockets"]["failed"] == 0, done
    assert done["traffic"]["errors"] <= done["failed"], done


@LONG
async def test_a_bad_version_with_websockets_is_stopped(tmp_path: Path) -> None:
    done = await try_out(tmp_path / "s", CASES["websockets"])
    assert (done["code"], done["others_drained"], done["out_at_end"]) == (1, [], ["web1"]), done
    assert done["verdicts"][-1]["state"] == "bad", done["verdicts"]


async def test_the_application_answers_pings_and_closes(tmp_path: Path) -> None:
    """The key and its answer are those of RFC 6455, 1.3."""
    key = b"dGhlIHNhbXBsZSBub25jZQ=="
    assert accept_key(key) == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    async with world(tmp_path / "s", nodes=1, instances=1) as stack:
        reader, writer = await asyncio.open_connection("127.0.0.1", stack.nodes["web1"].port)
        writer.write(b"GET /websocket HTTP/1.1\r\nSec-WebSocket-Key: " + key + b"\r\n\r\n")
        assert accept_key(key) in await reader.readuntil(b"\r\n\r\n")
        for kind, payload in ((PING, b"hello"), (CLOSE, b"\x03\xe8")):  # 1000: a normal end
            mask = os.urandom(4)
            masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
            writer.write(bytes((kind, 0x80 | len(payload))) + mask + masked)
        kinds = Counter[Any]()
        async with asyncio.timeout(10):
            while head := await reader.read(2):
                kinds[head[0], await reader.readexactly(head[1])] += 1
        writer.close()
    assert kinds.pop((PONG, b"hello")) == kinds.pop((CLOSE, b"\x03\xe8")) == 1
    assert {kind for kind, _ in kinds} == {TEXT}
