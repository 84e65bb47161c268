"""Preflight: what stands in the way is said in words, exit code 3, and nothing has been touched."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncssh
import pytest

from console.demo.stack import Stack
from tests.support.rollouts import (
    NEW,
    OLD,
    edit_haproxy,
    rolldeck,
    say,
    tune,
    until_up,
    untouched,
    upgrade,
    world,
)
from tests.support.servers.tcp_listener import listening


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    async with world(tmp_path / "s", nodes=2, transport="tcp") as made:
        yield made


@asynccontextmanager
async def overheard(stack: Stack) -> AsyncIterator[list[str]]:
    """What is said to lb1's Runtime API, word for word, by a relay in front of it."""
    heard: list[str] = []
    instance = stack.instances["lb1"]

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, keep: list[str]) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                keep.append(data.decode())
                writer.write(data)
                await writer.drain()
            writer.write_eof()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, to_there = await asyncio.open_connection("127.0.0.1", instance.admin_port)
        said: list[str] = []
        await asyncio.gather(copy(reader, to_there, said), copy(there, writer, []))
        heard.append("".join(said))
        to_there.close()

    async with listening(relay) as port:
        tune(stack, "haproxy.lb1", socket=f"tcp://127.0.0.1:{port}")
        yield heard


def what_runs(stack: Stack) -> list[tuple[int | None, str]]:
    return [(node.pid, node.installed) for node in stack.nodes.values()]


async def assert_refused(stack: Stack, *words: str, arguments: tuple[str, ...] = ()) -> None:
    """The upgrade exits with 3 and says these words; HAProxy and nodes are as before."""
    before = await untouched(stack), what_runs(stack)
    run = await upgrade(stack, NEW, *arguments)
    assert run.code == 3, run.text
    assert "no changes made" in run.err
    for text in words:
        assert text in run.err, (text, run.err)
    assert run.out == "", "a rollout that never began has no events"
    assert (await untouched(stack), what_runs(stack)) == before


async def test_too_little_would_stay_in_rotation(stack: Stack) -> None:
    tune(stack, "apps.shop.rollout", min_available=2)
    await assert_refused(stack, "capacity floor violated", "in rotation 2 → 1, floor 2", "min_available")


async def test_a_node_that_haproxy_does_not_know(stack: Stack) -> None:
    text = stack.config_path.read_text().replace("\nweb2 = {", "\nweb9 = {")
    stack.config_path.write_text(text)
    await assert_refused(stack, "web9: is not registered on lb1: looked for web9, found web1, web2")


async def test_a_socket_of_too_low_a_level(stack: Stack) -> None:
    operator = f"{stack.directory}/op.sock"
    await edit_haproxy(
        stack,
        lambda text: (
            text
            if "/lb2.sock" in text
            else text.replace("global\n", f"global\n    stats socket {operator} level operator\n", 1)
        ),
    )
    await until_up(stack, "shop")
    tune(stack, "haproxy.lb1", socket=f"unix://{operator}")
    await assert_refused(stack, "lb1: the socket has level operator; changing states needs admin")


async def test_no_such_backend(stack: Stack) -> None:
    tune(stack, "apps.shop", backends=["nowhere"])
    await assert_refused(stack, "cannot be read: Can't find backend. nowhere; there is: shop")


async def test_a_load_balancer_that_is_gone(stack: Stack) -> None:
    await stack.instances["lb2"].kill()
    run = await upgrade(stack)
    assert run.code == 3, run.text
    assert "lb2: cannot be read" in run.err


async def test_an_unreachable_node(stack: Stack) -> None:
    await stack.ssh_hosts["web2"].stop()
    await assert_refused(stack, "web2: cannot be reached", "refused")


async def test_an_unknown_host_key(stack: Stack) -> None:
    file = stack.directory / "known_hosts"
    lines = file.read_text().splitlines(keepends=True)
    port = str(stack.ssh_hosts["web2"].port)
    file.write_text("".join(line for line in lines if port not in line))
    await assert_refused(stack, "web2: cannot be reached", "is not known", "ssh ")


async def test_a_changed_host_key(stack: Stack) -> None:
    file = stack.directory / "known_hosts"
    host = stack.ssh_hosts["web2"]
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()
    file.write_text(file.read_text().replace(host.known_host, f"[127.0.0.1]:{host.port} {other}"))
    await assert_refused(stack, "web2: cannot be reached", "changed", str(file))


async def test_a_limit_that_matches_nothing(stack: Stack) -> None:
    await assert_refused(stack, "--limit web7 matches no node; did you mean", arguments=("--limit", "web7"))


async def test_an_unreadable_version_on_disk(stack: Stack) -> None:
    (stack.nodes["web2"].directory / "current").unlink()
    (stack.nodes["web2"].directory / "current").mkdir()
    run = await upgrade(stack)
    assert run.code == 3, run.text
    assert "web2: installed version cannot be read" in run.err


async def test_plan_and_check_send_nothing(stack: Stack) -> None:
    before = await untouched(stack), what_runs(stack)
    async with overheard(stack) as heard:
        planned = await rolldeck(stack, "plan", "shop", NEW)
        checked = await rolldeck(stack, "check", "shop", NEW)
        status = await rolldeck(stack, "status", "shop")
    assert (planned.code, checked.code, status.code) == (0, 0, 0), planned.text + checked.text + status.text
    assert (await untouched(stack), what_runs(stack)) == before
    assert len(heard) > 3
    for line in heard:
        for command in line.strip().split(";"):
            assert command.strip().startswith(("show ", "set severity-output", "help")), line


async def test_plan_shows_every_command_that_upgrade_sends(stack: Stack) -> None:
    planned = json.loads((await rolldeck(stack, "plan", "shop", NEW, "--json")).out)
    run = await upgrade(stack)
    assert run.code == 0, run.text
    for node in planned["nodes"]:
        expected = [(command["target"], command["command"]) for command in node["commands"]]
        writes = [command for command in run.sent if is_write(command[1]) and about(command, node["node"])]
        assert sorted(writes) == sorted(expected)


def is_write(command: str) -> bool:
    return command.startswith(("set ", "disable ", "enable ")) or "appctl st" in command or "ln -s" in command


def about(sent: tuple[str, str], node: str) -> bool:
    return sent[0] == node or f"shop/{node} " in f"{sent[1]} "


async def test_warnings_that_do_not_stop(tmp_path: Path) -> None:
    lines = ["cookie SRV insert", "default-server on-marked-down shutdown-sessions"]
    async with world(tmp_path / "s", instances=1, backend_lines=lines) as stack:
        await say(stack, "set server shop/web1 weight 0")
        run = await rolldeck(stack, "check", "shop", NEW)
        before, _, rest = stack.config_path.read_text().partition("[apps.shop.health]")
        stack.config_path.write_text(before + rest[rest.index("[apps.shop.rollout]") :])
        healthless = await rolldeck(stack, "check", "shop", NEW)
    assert run.code == healthless.code == 0, run.text + healthless.text
    assert "no health check is configured" not in run.out
    assert "! shop: no health check is configured: a version counts as healthy as soon as" in healthless.out
    assert 'shop on lb1: cookie persistence ("SRV")' in run.out
    assert "on-marked-down shutdown-sessions" in run.out
    assert "shop/web1 on lb1: has weight 0 now, and keeps it" in run.out


async def test_a_version_that_cannot_be_one(stack: Stack) -> None:
    before = await untouched(stack), what_runs(stack)
    for version in ("1.5.0; reboot", "$(id)", "-rf"):
        run = await rolldeck(stack, "upgrade", "shop", "--yes", "--", version)
        assert run.code == 2, run.text
    assert (await untouched(stack), what_runs(stack)) == before
    assert all(node.installed == OLD for node in stack.nodes.values())


async def test_a_version_that_is_nowhere_to_be_had(stack: Stack) -> None:
    before = await untouched(stack), what_runs(stack)
    said = "9.9.9 is not available: there is no directory releases/9.9.9; there is"
    for arguments in (
        ("upgrade", "shop", "9.9.9", "--yes"),
        ("check", "shop", "9.9.9"),
        ("plan", "shop", "9.9.9"),
    ):
        run = await rolldeck(stack, *arguments)
        assert run.code == 3, run.text
        assert f"web1, web2: {said}" in run.text, run.text
    planned = json.loads((await rolldeck(stack, "plan", "shop", "9.9.9", "--json")).out)
    found = [node["availability"] for node in planned["nodes"]]
    assert {entry["presence"] for entry in found} == {"not_there"}
    errors = [finding["subject"] for finding in planned["findings"] if finding["severity"] == "error"]
    assert errors == ["web1", "web2"]
    assert (await untouched(stack), what_runs(stack)) == before


async def test_a_start_command_whose_program_is_not_there(stack: Stack) -> None:
    tune(stack, "apps.shop.service", start="./appclt start")
    await assert_refused(stack, "the program of the command for start is not there: ./appclt")
