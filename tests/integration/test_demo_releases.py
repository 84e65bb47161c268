"""Releases of the demo: each starts, serves, stops and fails as its release.json says."""

import asyncio

import pytest

from console.demo.connection import Closed, Connection
from console.demo.node import Node
from console.demo.stack import Stack
from tests.integration.demo_probes import is_open
from tests.support.stacks import (
    kill_application,
    running_version,
)
from tests.support.wait import until


async def run_release(node: Node, version: str) -> None:
    """Stop the node's application, for good, and start another version."""
    kill_application(node)
    await until(lambda: node.pid is None)
    node.activate(version)
    assert await node.appctl("start") == 0


async def until_answers(stack: Stack, name: str) -> None:
    async with asyncio.timeout(60):
        while await running_version(stack, name) is None:
            await asyncio.sleep(0.01)


async def health(node: Node) -> tuple[int, bytes]:
    connection = await Connection.open(node.address, node.port)
    response = await connection.get("/health", keep_alive=False)
    return response.status, response.body


async def test_stop_closes_the_port_finishes_the_request_and_then_ends(small: Stack) -> None:
    node = small.nodes["web1"]
    connection = await Connection.open(node.address, node.port)
    request = asyncio.create_task(connection.get("/slow?seconds=1"))
    await asyncio.sleep(0.2)  # it has arrived
    assert await node.appctl("stop") == 0
    async with asyncio.timeout(5):
        while await is_open(node.port):
            await asyncio.sleep(0.01)
    assert node.pid is not None  # still working: a closed port alone proves nothing
    assert await node.appctl("status") == 0
    assert (await request).status == 200
    await until(lambda: node.pid is None)
    assert await node.appctl("status") == 3


async def test_a_download_takes_its_time_and_arrives_whole(small: Stack) -> None:
    reader, writer = await asyncio.open_connection(*small.frontends[0])
    writer.write(b"GET /download?seconds=0.1 HTTP/1.1\r\nHost: demo\r\nConnection: close\r\n\r\n")
    reply = await reader.read()
    writer.close()
    assert reply.startswith(b"HTTP/1.1 200 OK\r\n")
    assert (reply.count(b"x" * 0x1000), reply[-5:]) == (10, b"0\r\n\r\n")


async def test_another_release_runs_after_a_change_of_the_link(small: Stack) -> None:
    node = small.nodes["web1"]
    assert node.installed == "1.4.2"
    node.activate("1.5.0")
    assert (node.installed, await running_version(small, "web1")) == ("1.5.0", "1.4.2")
    await run_release(node, "1.5.0")
    await until_answers(small, "web1")
    assert await running_version(small, "web1") == "1.5.0"


async def test_a_release_that_never_becomes_healthy(small: Stack) -> None:
    node = small.nodes["web1"]
    small.add_release("2.0.0", healthy=False)
    await run_release(node, "2.0.0")
    await until_answers(small, "web1")
    assert await health(node) == (503, b'{"status": "DOWN"}')


async def test_a_release_that_starts_slowly_runs_before_its_port_is_open(small: Stack) -> None:
    node = small.nodes["web1"]
    small.add_release("2.0.0", start_delay=30)
    await run_release(node, "2.0.0")
    assert await node.appctl("status") == 0
    assert not await is_open(node.port)
    assert await running_version(small, "web1") is None


async def test_a_release_that_dies_after_its_start(small: Stack) -> None:
    node = small.nodes["web1"]
    small.add_release("2.0.0", exit_after=0.2)
    await run_release(node, "2.0.0")
    assert node.pid is not None
    await until(lambda: node.pid is None)
    assert await node.appctl("status") == 3


async def test_a_release_that_ignores_sigterm(small: Stack) -> None:
    node = small.nodes["web1"]
    small.add_release("2.0.0", ignore_sigterm=True)
    await run_release(node, "2.0.0")
    await until_answers(small, "web1")
    assert await node.appctl("stop") == 0
    await asyncio.sleep(0.3)
    assert await running_version(small, "web1") == "2.0.0"


async def test_a_release_that_reports_another_version(small: Stack) -> None:
    node = small.nodes["web1"]
    small.add_release("2.0.0", reports_version="1.4.2")
    await run_release(node, "2.0.0")
    await until_answers(small, "web1")
    assert (node.installed, await running_version(small, "web1")) == ("2.0.0", "1.4.2")


async def test_a_release_that_resets_connections(small: Stack) -> None:
    node = small.nodes["web1"]
    small.add_release("2.0.0", error_share=1.0, error_kind="reset")
    await run_release(node, "2.0.0")
    await until_answers(small, "web1")
    connection = await Connection.open(node.address, node.port)
    with pytest.raises(Closed, match="before any response"):
        await connection.get("/")


async def test_a_release_that_does_not_answer(small: Stack) -> None:
    node = small.nodes["web1"]
    small.add_release("2.0.0", error_share=1.0, error_kind="silence")
    await run_release(node, "2.0.0")
    await until_answers(small, "web1")
    connection = await Connection.open(node.address, node.port)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(connection.get("/"), 0.3)


async def test_releases_that_fail_during_an_incident(small: Stack) -> None:
    node, incident = small.nodes["web1"], small.directory / "incident"
    small.add_release("2.0.0", incident_file=str(incident))
    await run_release(node, "2.0.0")
    await until_answers(small, "web1")
    connection = await Connection.open(node.address, node.port)
    incident.write_text("1")
    assert (await connection.get("/")).status == 503
    incident.unlink()
    assert (await connection.get("/")).status == 200
