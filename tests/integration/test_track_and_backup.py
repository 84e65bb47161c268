"""Servers that follow others (`track`) and backup servers, on a real HAProxy with clients that count.

Both were lost traffic with the result "healthy": a drain that emptied more than it said, and a pool in which
nothing was there to take over.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from backends.haproxy.address import HaproxySettings
from backends.haproxy.runtime import Runtime
from backends.model import AdminState, ServerRef
from console.demo.load import Load
from orchestrator.balancers.admin_state import find_followers, find_track_targets
from orchestrator.balancers.group import BalancerGroup
from orchestrator.planning.application import Policy
from orchestrator.planning.removal import measure_removal
from tests.support.free_ports import free_port
from tests.support.rollouts import (
    NEW,
    OLD,
    assert_nothing_failed,
    edit_haproxy,
    rolldeck,
    say,
    states,
    statuses,
    stop_load,
    tune,
    until_up,
    untouched,
    upgrade,
    versions,
    world,
)
from tests.support.servers.haproxy import haproxy_binaries, running_haproxy
from tests.support.servers.tcp_listener import Handle, listening
from tests.support.wait import until

OTHER = """
frontend other-www
    bind 127.0.0.1:{front}
    default_backend other
backend other
{servers}
"""


@asynccontextmanager
async def loaded(*ports: int, slow_share: float = 0) -> AsyncIterator[None]:
    """Clients of these frontends, none of whom may see an error."""
    async with Load(40, [("127.0.0.1", port) for port in ports], slow_share=slow_share) as load:
        yield
        assert_nothing_failed(await stop_load(load), at_least=20)


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Another machine's application: it says yes to one request."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
    await writer.drain()
    writer.close()


def line(name: str, port: int, more: str) -> str:
    return f"    server {name} 127.0.0.1:{port} {more}"


def with_other(pool: Callable[[str], str], front: int, *servers: str) -> Callable[[str], str]:
    """An edit of haproxy.cfg: of the lines of the pool, and a backend that is not the application's."""

    def edit(text: str) -> str:
        return pool(text.partition("\nfrontend other-www")[0]) + OTHER.format(
            front=front, servers="\n".join(servers)
        )

    return edit


def following(text: str) -> str:
    """web2 tracks web1."""
    return re.sub(r"(server web2 \S+).*", r"\1 no-check track shop/web1", text)


def independent(text: str) -> str:
    return re.sub(r"(server web2 \S+).*", r"\1", text)


async def test_what_a_drain_carries_along_counts(tmp_path: Path) -> None:
    async with world(tmp_path / "s", nodes=2, instances=1) as stack, listening(answer) as elsewhere:
        ports = {name: node.port for name, node in stack.nodes.items()}
        front, shop = free_port(), stack.instances["lb1"].port
        o1, free = line("o1", elsewhere, "track shop/web1"), line("o2", elsewhere, "")

        # web2 follows web1, and so does the only server of another application.
        await edit_haproxy(stack, with_other(following, front, o1))
        await until_up(stack, "shop", "other")
        before = await untouched(stack)
        async with loaded(shop, front):
            refused = await upgrade(stack)
            by_hand = await rolldeck(stack, "maint", "shop", "web1", "--yes")
        assert refused.code == 3, refused.text
        assert "in rotation 2 → 0, floor 1; shop/web2 follows shop/web1" in refused.text
        assert "in rotation 1 → 0, floor 1; other/o1 follows shop/web1" in refused.text
        assert by_hand.code == 3, by_hand.text
        assert "also affects shop/web2 on lb1, which follows shop/web1" in by_hand.text
        assert await untouched(stack) == before
        assert set((await versions(stack)).values()) == {OLD}

        # The same machines in another backend follow their own: they are taken out with them.
        same = [line(f"o{n}", ports[f"web{n}"], f"track shop/web{n}") for n in (1, 2)]
        await edit_haproxy(stack, with_other(independent, front, *same))
        await until_up(stack, "shop", "other")
        async with loaded(shop, front, slow_share=0.1):
            run = await upgrade(stack)
        assert run.code == 0, run.text
        assert set((await versions(stack)).values()) == {NEW}
        assert {state.admin for state in (await states(stack, "other"))["lb1"].values()} == {0}
        assert not [command for _, command in run.sent if "other/" in command]

        # Another machine follows, and the other application has one more: allowed, and said.
        await edit_haproxy(stack, with_other(independent, front, o1, free))
        await until_up(stack, "shop", "other")
        async with loaded(shop, front):
            out = await rolldeck(stack, "maint", "shop", "web1", "--yes")
            assert (await statuses(stack, "other"))["lb1", "o1"] == "MAINT (via shop/web1)"
            status = await rolldeck(stack, "status", "shop")
            as_json = await rolldeck(stack, "status", "shop", "--json")
            back = await rolldeck(stack, "ready", "shop", "web1", "--yes")
        assert out.code == 0, out.text
        assert "also affects other/o1 on lb1, which follows shop/web1" in out.err
        assert "other on lb1: in rotation 2 → 1, floor 1; other/o1 follows shop/web1" in out.err
        assert (
            "o1 (other) is kept out by HAProxy: it follows shop/web1: lb1: MAINT (via shop/web1)"
            in status.out
        )
        kept = [
            entry for text in as_json.out.splitlines() if (entry := json.loads(text))["kind"] == "kept_out"
        ]
        assert [(entry["backend"], entry["server"], entry["by"]) for entry in kept] == [
            ("shop", "web1", "hand"),
            ("other", "o1", "haproxy"),
        ]
        assert back.code == 0, back.text
        assert set((await statuses(stack, "other")).values()) == {"UP", "no check"}


async def test_a_healthy_backup_takes_over_and_a_dead_one_does_not(tmp_path: Path) -> None:
    async with world(tmp_path / "s", nodes=2, instances=1) as stack:
        shop = stack.instances["lb1"].port
        tune(stack, "apps.shop.rollout", min_available="50%")
        await edit_haproxy(stack, lambda text: re.sub(r"(server web2 \S+)", r"\1 backup", text))
        await until_up(stack, "shop")

        # The backup is DOWN.
        await say(stack, "disable health shop/web2")
        await say(stack, "set server shop/web2 health down")
        before = await untouched(stack)
        async with loaded(shop):
            refused = await upgrade(stack, NEW, "--limit", "web1")
            by_hand = await rolldeck(stack, "drain", "shop", "web1", "--yes")
        for run in (refused, by_hand):
            assert run.code == 3, run.text
            assert "shop on lb1: in rotation 1 → 0, floor 1" in run.text
            assert "takes over" not in run.text
        assert await untouched(stack) == before
        await say(stack, "enable health shop/web2")
        await until_up(stack, "shop")

        # It takes over, and is not taken out while it serves.
        async with loaded(shop):
            out = await rolldeck(stack, "drain", "shop", "web1", "--yes")
            second = await rolldeck(stack, "maint", "shop", "web2", "--yes")
            back = await rolldeck(stack, "ready", "shop", "web1", "--yes")
        assert out.code == 0, out.text
        assert "in rotation 1 → 1, floor 1; web2 (backup) takes over" in out.err
        assert second.code == 3, second.text
        assert "in rotation 1 → 0, floor 1" in second.text
        assert back.code == 0, back.text

        async with loaded(shop):
            run = await upgrade(stack)
        assert run.code == 0, run.text
        assert set((await versions(stack)).values()) == {NEW}
        assert {state.admin for state in (await states(stack))["lb1"].values()} == {0}
        status = await rolldeck(stack, "status", "shop")
        assert status.code == 0, status.text


@pytest.mark.parametrize("binary", haproxy_binaries())
async def test_every_haproxy_passes_states_on_as_is_reckoned(tmp_path: Path, binary: Path) -> None:
    """Through a chain and into another backend; a weight it does not."""
    async with listening(answer) as port:
        sections = "\n".join(
            (
                *("backend pair", line("r1", port, "check inter 50ms"), line("r2", port, "track pair/r1")),
                *("backend other", line("o1", port, "track pair/r1"), line("o2", port, "track other/o1")),
                line("o3", port, "check inter 50ms"),
            )
        )
        async with running_haproxy(tmp_path / "h", binary, sections) as haproxy:
            runtime = Runtime("lb1", HaproxySettings(socket=f"unix://{haproxy.socket}"))

            async def up() -> bool:
                return all(server.in_rotation for server in (await runtime.snapshot()).servers)

            await until(up)
            r1 = ServerRef("lb1", "pair", "r1")
            carried = find_followers(find_track_targets([await runtime.snapshot()]), {r1})
            assert {f"{ref.backend}/{ref.server}" for ref in carried} == {"pair/r2", "other/o1", "other/o2"}

            for state in AdminState.DRAIN, AdminState.MAINT, AdminState.READY:
                await runtime.write(f"set server pair/r1 state {state}")
                seen = {server.ref: server for server in (await runtime.snapshot()).servers}
                assert {seen[ref].admin_state for ref in carried | {r1}} == {state}
                assert {seen[ref].own_admin_state for ref in carried} == {AdminState.READY}
                assert seen[ServerRef("lb1", "other", "o3")].in_rotation
            await runtime.write("set server pair/r1 weight 0")
            weights = {server.ref: server.effective_weight for server in (await runtime.snapshot()).servers}
            assert (weights[r1], {weights[ref] for ref in carried}) == (0, {1})


@asynccontextmanager
async def named(*names: str) -> AsyncIterator[dict[str, int]]:
    """Applications that answer with their names; and their ports."""

    def say_name(name: str) -> Handle:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n" + name.encode())
            await writer.drain()

        return serve

    async with AsyncExitStack() as stack:
        yield {name: await stack.enter_async_context(listening(say_name(name))) for name in names}


async def who_answers(port: int) -> set[str]:
    found = set()
    for _ in range(6):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        found.add((await reader.read())[-2:].decode())
        writer.close()
    return found


@pytest.mark.parametrize("binary", haproxy_binaries())
async def test_every_haproxy_uses_the_backups_that_are_reckoned_with(tmp_path: Path, binary: Path) -> None:
    fronts = {"one": free_port(), "all": free_port()}
    async with named("a1", "b1", "b2") as ports:
        pool = [line(name, port, "backup" * name.startswith("b")) for name, port in ports.items()]
        sections = "\n".join(
            "\n".join((f"listen {name}", f"    bind 127.0.0.1:{front}", *more, *pool))
            for (name, front), more in zip(fronts.items(), ([], ["    option allbackups"]), strict=True)
        )
        async with running_haproxy(tmp_path / "h", binary, sections) as haproxy:
            runtime = Runtime("lb1", HaproxySettings(socket=f"unix://{haproxy.socket}"))
            balancer_group = BalancerGroup([runtime], list(fronts))
            active = [ServerRef("lb1", name, "a1") for name in fronts]

            async def taking_over() -> dict[str, set[str]]:
                found = await measure_removal(balancer_group, active, Policy())
                return {capacity.backend: set(capacity.takes_over) for capacity in found.capacities}

            assert await taking_over() == {"one": {"b1"}, "all": {"b1", "b2"}}
            await runtime.write("set server one/b1 state maint")
            assert await taking_over() == {"one": {"b2"}, "all": {"b1", "b2"}}
            for ref in active:
                await runtime.write(f"set server {ref.backend}/a1 state drain")
            assert await who_answers(fronts["one"]) == {"b2"}
            assert await who_answers(fronts["all"]) == {"b1", "b2"}
            await runtime.write("set server one/b1 state ready")
            assert await who_answers(fronts["one"]) == {"b1"}
            found = await measure_removal(balancer_group, [ServerRef("lb1", "one", "b1")], Policy())
            assert (found.capacities[0].before, found.capacities[0].after) == (1, 1)
