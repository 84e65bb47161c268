"""The detail of a node on real servers, by keys alone: live data, actions, and one dead load balancer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from console.tui.screens.detail import DetailScreen
from tests.console.real_console import Driver, console_stack, drive
from tests.support.processes import find_readers, freeze, thaw
from tests.support.rollouts import MAINT, say, states


@asynccontextmanager
async def held(at: Driver, instance: str) -> AsyncIterator[list[str]]:
    """A slow request on every node through one load balancer, and the addresses of who asks."""
    stack = at.console_stack.stack
    writers = []
    for _ in stack.nodes:
        _, writer = await asyncio.open_connection("127.0.0.1", stack.instances[instance].port)
        writer.write(b"GET /slow?seconds=30 HTTP/1.1\r\nHost: shop\r\n\r\n")
        writers.append(writer)
    try:
        yield ["{}:{}".format(*writer.get_extra_info("sockname")) for writer in writers]
    finally:
        for writer in writers:
            writer.close()


def append(log: Path, text: str) -> None:
    with log.open("a") as file:
        file.write(text)


async def open_detail(at: Driver, node: str = "web1") -> DetailScreen:
    await at.press("o", "home", *["down"] * (int(node[-1]) - 1), "enter")  # by node
    await at.sees(f" {node}  shop", "1 state", "rotation")
    screen = at.app.screen
    assert isinstance(screen, DetailScreen)
    return screen


async def test_both_load_balancers_a_session_with_its_age_and_back(tmp_path: Path) -> None:
    async with console_stack(tmp_path) as here, drive(here) as at:
        async with held(at, "lb2") as clients:
            await open_detail(at)
            await at.sees("lb1 ● live", "lb2 ● live", "✓ in rotation", "no administrative hold", "1.4.2")
            await at.press("2")
            await at.sees("0 on lb1 · 1 on lb2")
            await at.until(lambda: any(client in at.text for client in clients))
            line = next(line for line in at.text.splitlines() if "127.0.0.1:" in line and "www" in line)
            assert " lb2 " in line
            assert ":" in line.split()[0]  # its age
            await at.press("escape")
            await at.until(lambda: at.app.screen is at.main)


async def test_the_owner_and_the_journal_after_a_change_from_here(tmp_path: Path) -> None:
    async with console_stack(tmp_path) as here, drive(here) as at:
        await open_detail(at, "web2")
        await at.press("m")
        await at.sees("Maintenance for web2?")
        await at.press("right", "enter")
        await at.sees("on all: maintenance by an operator at run time")
        found = await states(here.stack)
        assert {servers["web2"].admin for servers in found.values()} == {MAINT}
        assert {servers["web1"].admin for servers in found.values()} == {0}
        await at.press("5", "end")
        await at.until(lambda: "set server shop/web2 state maint" in " ".join(at.text.split()))
        await at.press("home")
        await at.sees("maint web2", "healthy")  # from the journal on disk
        await at.press("y")
        await at.until(lambda: "set server shop/web2 state maint" in at.app.clipboard)
        assert "web2  shop  1.4.2" in at.app.clipboard
        await at.press("home", "enter")  # enter goes back, too
        await at.until(lambda: at.app.screen is at.main)


async def test_what_somebody_else_does_is_seen(tmp_path: Path) -> None:
    async with console_stack(tmp_path) as here, drive(here) as at:
        await open_detail(at)
        await say(here.stack, "set server shop/web1 state maint", "lb1")
        await at.sees("on lb1: maintenance by an operator", "on lb2: no administrative hold")
        assert "lb1 ✗  lb2 ✓" in at.text


async def test_a_change_goes_on_when_its_screen_is_left(tmp_path: Path) -> None:
    async with console_stack(tmp_path) as here, drive(here) as at:
        await say(here.stack, "set server shop/web1 state maint")
        await at.sees("maint 1")
        await open_detail(at)
        await at.sees("maintenance by an operator")
        await at.press("e")
        await at.sees("Back in rotation: web1?")
        await at.press("right", "enter")
        await at.until(lambda: isinstance(at.app.screen, DetailScreen))
        await at.press("escape")  # while HAProxy's checks still prove it
        await at.until(lambda: "read back: web1 on lb1: ready" in at.said)
        assert {servers["web1"].admin for servers in (await states(here.stack)).values()} == {0}


async def test_a_frozen_load_balancer_is_stale_here_and_keys_answer(tmp_path: Path) -> None:
    async with console_stack(tmp_path) as here, drive(here) as at:
        await open_detail(at)
        lb1 = here.stack.instances["lb1"]
        freeze(lb1.pid)
        try:
            await at.sees("lb1 ✗ stale", "lb1: no answer; this is", "lb2 ● live")
            async with held(at, "lb2") as clients:  # those of the other are read all the same
                await at.press("2")
                await at.until(lambda: any(client in at.text for client in clients))
            await at.press("escape")
            await at.until(lambda: at.app.screen is at.main)
        finally:
            thaw(lb1.pid)
        await at.press("enter")
        await at.sees("lb1 ● live", "lb2 ● live")


async def test_read_only_grays_the_keys(tmp_path: Path) -> None:
    async with console_stack(tmp_path) as here, drive(here, "--read-only was given") as at:
        screen = await open_detail(at)
        assert screen.check_action("change", ("drain",)) is None
        await at.press("d", "m", "e", "w")
        await at.pilot.pause()
        assert at.app.screen is screen
        assert here.changes == []


async def test_the_checks_are_those_of_a_rollout(tmp_path: Path) -> None:
    async with console_stack(tmp_path) as here, drive(here) as at:
        await open_detail(at)
        await at.press("tab", "tab")
        await at.sees("checks of its own", "running", "is open", "200 OK", "installed", "1.4.2")


async def test_the_log_is_followed_found_in_and_left(tmp_path: Path) -> None:
    log = tmp_path / "shop.log"
    log.write_text("".join(f"line {number}\n" for number in range(1000)))
    async with console_stack(tmp_path, log=str(log)) as here, drive(here) as at:
        await at.press("o", "home", "l")
        await at.sees("4 log", "line 999", "500 lines · follows · /")
        append(log, "[red]new\x1b[2J\n")
        await at.sees("[red]new\\x1b[2J", "501 lines")
        await at.press("slash", *"LINE 60", "enter")
        await at.sees("10 with 'line 60'", "not following")
        append(log, "later\n")
        await at.sees("502 lines", "not following")
        assert "later" not in at.text
        await at.press("f")
        await at.sees("later", "· follows ·")
        await at.press("escape")
        await at.until(lambda: at.app.screen is at.main)
        await at.until(lambda: not find_readers(log))
