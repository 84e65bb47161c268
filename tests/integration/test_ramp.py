"""A weight ramp on real HAProxies: what each stage gets, and what a kill or a reload in its middle leaves."""

import asyncio
import csv
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from console.demo.haproxy import HAProxy
from console.demo.load import Load
from console.demo.stack import Stack
from tests.support.rollouts import (
    MAINT,
    NEW,
    State,
    assert_nothing_failed,
    rolldeck,
    started,
    states,
    tune,
    upgrade,
    versions,
    world,
)
from tests.support.servers.haproxy import haproxy_binaries, haproxy_paths, series
from tests.support.stacks import reload_haproxy
from tests.support.wait import until

pytestmark = pytest.mark.timeout(300)

WHOLE = State(0, 100)
READ_INTERVAL_S = 0.05


def one_haproxy() -> list[object]:
    """The newest one by default; the others are for the long tests and `make test-matrix`."""
    *others, newest = haproxy_binaries()
    marks = [pytest.mark.matrix, pytest.mark.long]
    return [
        newest,
        *(pytest.param(path, id=series(path), marks=marks) for path in haproxy_paths()[: len(others)]),
    ]


@asynccontextmanager
async def ramping_world(
    place: Path,
    haproxy: Path,
    *further_lines: str,
    nodes: int = 2,
    instances: int = 1,
    hold_s: float = 2.0,
) -> AsyncIterator[Stack]:
    lines = ["default-server weight 100", *further_lines]
    async with world(
        place, nodes=nodes, instances=instances, haproxy=str(haproxy), backend_lines=lines
    ) as stack:
        tune(stack, "apps.shop.rollout", ramp=[10, 50, 100], ramp_hold=hold_s)
        yield stack


class Shares:
    """Counts the requests that web1 and web2 got, by the weight that web1 had in effect meanwhile."""

    def __init__(self, instance: HAProxy) -> None:
        self._instance = instance
        self._requests: dict[str, Counter[int]] = {"web1": Counter(), "web2": Counter()}

    async def run(self) -> None:
        weight, totals = -1, dict.fromkeys(self._requests, 0)
        while True:
            reply = await self._instance.ask("show stat shop 4 -1")
            rows = {row["svname"]: row for row in csv.DictReader(reply.lstrip("# ").splitlines())}
            now = int(rows["web1"]["weight"]) if rows["web1"]["status"] == "UP" else 0
            for name, counts in self._requests.items():
                total = int(rows[name]["stot"])
                if now == weight:  # what came while it changed belongs to neither
                    counts[now] += total - totals[name]
                totals[name] = total
            weight = now
            await asyncio.sleep(READ_INTERVAL_S)

    def share(self, weight: int) -> float:
        """Return what web1 got of what its peer got."""
        return self._requests["web1"][weight] / self._requests["web2"][weight]


@pytest.mark.parametrize("haproxy", one_haproxy())
async def test_each_stage_gets_its_part_of_the_traffic(place: Path, haproxy: Path) -> None:
    async with ramping_world(place, haproxy) as stack:
        shares = Shares(stack.instances["lb1"])
        counting = asyncio.create_task(shares.run())
        async with Load(150, stack.frontends, slow_share=0) as load:
            run = await upgrade(stack, NEW, "--limit", "web1")
            report = await load.stop()
        counting.cancel()
        assert run.code == 0, run.text
        assert await states(stack) == {"lb1": {"web1": WHOLE, "web2": WHOLE}}
    assert_nothing_failed(report, at_least=100)
    assert shares.share(10) == pytest.approx(0.1, rel=0.2)
    assert shares.share(50) == pytest.approx(0.5, rel=0.2)
    sent = [command for _, command in run.sent if "weight" in command]
    assert sent == [f"set server shop/web1 weight {weight}" for weight in (10, 50, 100)]


@pytest.mark.long
@pytest.mark.parametrize("haproxy", haproxy_binaries())
async def test_a_kill_at_the_second_stage_is_resumed_or_put_back(place: Path, haproxy: Path) -> None:
    async with ramping_world(place, haproxy, nodes=3, instances=2) as stack:
        for action in ("resume", "ready"):
            version = NEW if action == "resume" else "1.4.2"
            async with started(stack, "upgrade", "shop", version, "--yes", "--json") as running:
                await running.event("waiting", node="web1", weight_percent=50)
                running.process.kill()
                await running.end()
            left = await states(stack)
            assert [servers["web1"] for servers in left.values()] == [State(0, 50)] * 2
            status = await rolldeck(stack, "status", "shop")
            assert "web1 was left by rollout" in status.text
            assert status.code == 1, status.text
            words = ["resume", "shop"] if action == "resume" else ["ready", "shop", "web1"]
            run = await rolldeck(stack, *words, "--yes")
            assert run.code == 0, run.text
            after = await states(stack)
            assert all(set(servers.values()) == {WHOLE} for servers in after.values()), after
            if action == "resume":
                assert await versions(stack) == dict.fromkeys(stack.nodes, NEW)


@pytest.mark.long
@pytest.mark.parametrize("haproxy", haproxy_binaries())
async def test_a_reload_at_the_second_stage_restores_it(place: Path, haproxy: Path) -> None:
    async with ramping_world(place, haproxy, instances=2, hold_s=4.0) as stack:
        async with started(stack, "upgrade", "shop", NEW, "--yes", "--json", "--limit", "web1") as running:
            await running.event("waiting", node="web1", weight_percent=50)
            await reload_haproxy(stack.instances["lb1"])
            await running.event("node_note", "was reloaded; restored")
            assert (await states(stack))["lb1"]["web1"] == State(0, 50)
            run = await running.end()
        assert run.code == 0, run.text
        assert {server for servers in (await states(stack)).values() for server in servers.values()} == {
            WHOLE
        }
    assert "this rollout wants it" not in run.text


@pytest.mark.long
@pytest.mark.parametrize("haproxy", haproxy_binaries())
async def test_a_version_that_fails_at_a_stage_leaves_its_node_with_its_weight(
    place: Path, haproxy: Path
) -> None:
    async with ramping_world(place, haproxy, instances=2, hold_s=20.0) as stack:
        stack.add_release("1.6.0", error_share=0.3)
        async with Load(100, stack.frontends, slow_share=0) as load:
            run = await upgrade(stack, "1.6.0")
            await load.stop()
        assert run.code == 1, run.text
        after = [servers["web1"] for servers in (await states(stack)).values()]
        assert after == [State(MAINT, 100)] * 2, run.text
    assert [command for _, command in run.sent if "weight 50" in command] == []
    (out,) = run.ended["out_of_rotation"]
    assert out["node"] == "web1"


@pytest.mark.long
@pytest.mark.parametrize("haproxy", haproxy_binaries())
async def test_slow_start_goes_on_beside_the_stages(place: Path, haproxy: Path) -> None:
    async with ramping_world(place, haproxy, "default-server slowstart 5s", hold_s=0.5) as stack:

        async def settled() -> bool:  # from 3.0 on, slow start applies to the start of HAProxy too
            reply = await stack.instances["lb1"].ask("show stat shop 4 -1")
            rows = csv.DictReader(reply.lstrip("# ").splitlines())
            return all(row["weight"] == "100" for row in rows)

        await until(settled)
        run = await upgrade(stack, NEW, "--limit", "web1")
        assert run.code == 0, run.text
        assert (await states(stack))["lb1"]["web1"] == WHOLE
    assert any("slow start" in event.get("reason", "") for event in run.events), run.text


@pytest.mark.long
@pytest.mark.parametrize("haproxy", haproxy_binaries())
@pytest.mark.parametrize(
    ("lines", "refusal"),
    [
        (["balance random"], ""),
        (["balance uri", "hash-type consistent"], ""),
        (["balance source"], "source only accepts 0 % and 100 %"),
        (["balance leastconn"], "an idle server gets every next request"),
        (["default-server weight 9"], "its weight is 9"),
    ],
)
async def test_a_ramp_is_refused_where_it_would_limit_nothing(
    place: Path, haproxy: Path, lines: list[str], refusal: str
) -> None:
    async with ramping_world(place, haproxy, *lines) as stack:
        run = await rolldeck(stack, "plan", "shop", NEW)
        assert (run.code == 0) is not bool(refusal), run.text
        assert refusal in run.text
        if not refusal:
            assert "set server shop/web1 weight 10" in run.text
