"""Response times that are recovered from a real HAProxy's averages, against those of its log."""

import asyncio
import re
import subprocess
from pathlib import Path

import pytest

from backends.haproxy.address import HaproxySettings
from backends.haproxy.runtime import Runtime
from backends.model import Server
from orchestrator.balancers.response_times import TimeReading, recover_mean
from tests.support.free_ports import free_port
from tests.support.servers.faulty_http import faulty_server, is_error
from tests.support.servers.haproxy import haproxy_binaries, running_haproxy

SECTIONS = """
ring log
    format raw
    size 1048576
frontend www
    bind 127.0.0.1:{www}
    log ring@log format raw local0
    log-format "time %s %Tr"
    default_backend shop
defaults
    mode http
    timeout connect 1s
    timeout client 10s
    timeout server 1s
backend shop
    server web1 127.0.0.1:{node}
"""

# Path, and whether a request for it is in the average.
COUNTED = {
    "/ok": True,
    "/500": True,
    "/cut": True,
    "/hints": True,
    "/stream": True,
    "/stalled": True,
    "/slow": True,
    "/reset": False,
    "/garbage": False,
    "/hints-reset": False,
    "/hang": False,
}
LEFT = "/slow"  # a client that leaves before the response begins
BATCH, PARALLEL, BEFORE = 40, 40, 520  # requests


@pytest.mark.long
@pytest.mark.parametrize("binary", haproxy_binaries())
async def test_which_responses_are_in_the_average(binary: Path, tmp_path: Path) -> None:
    """Each kind after slow ones, so that the average moves with each response that is in it."""
    www, node = free_port(), free_port()
    sections = SECTIONS.format(www=www, node=node)
    async with faulty_server(node), running_haproxy(tmp_path / "h", binary, sections) as haproxy:
        runtime = Runtime("lb1", HaproxySettings(socket=f"unix://{haproxy.socket}"))
        parallel = asyncio.Semaphore(PARALLEL)

        async def request(path: str, leave: bool) -> None:
            async with parallel:
                await is_error(www, path, leave=leave)

        async def ask(path: str, number: int, *, leave: bool = False) -> Server:
            await asyncio.gather(*(request(path, leave) for _ in range(number)))
            async with asyncio.timeout(60):
                while True:
                    (server,) = (await runtime.snapshot()).servers
                    if not server.counters.in_flight:
                        return server
                    await asyncio.sleep(0.05)

        before = await ask("/slow", BEFORE)
        for path, leave in [*((path, False) for path in COUNTED), (LEFT, True)]:
            after = await ask(path, BATCH, leave=leave)
            old, new = (TimeReading.of(server.counters, server.response_time) for server in (before, after))
            before = after
            if not COUNTED[path]:
                assert (new.average_ms, new.answered) == (old.average_ms, old.answered), path
                continue
            assert new.answered - old.answered == BATCH, path
            log = (await haproxy.ask("show events log")).split("\n")
            times = [int(line.split()[2]) for line in log if line.startswith("time web1")][-BATCH:]
            mean = recover_mean(old, new)
            assert mean is not None
            # Later ones count a little more: beside rounding, the times themselves may differ.
            spread = max(times) - min(times)
            assert mean.mean_ms == pytest.approx(sum(times) / BATCH, abs=mean.error_ms + spread / 10), path


FRONTEND = """
    bind 127.0.0.1:{www}
    default_backend shop
backend shop
    server web1 127.0.0.1:{node}
"""
DOCUMENTATION = Path(__file__).parents[2] / "docs" / "canary.md"


def _pipe(pipeline: str, text: str) -> str:
    return subprocess.run(
        ["sh", "-c", pipeline], input=text, capture_output=True, text=True, check=True
    ).stdout


@pytest.mark.long
@pytest.mark.parametrize("binary", haproxy_binaries())
async def test_percentiles_are_read_as_documented(binary: Path, tmp_path: Path) -> None:
    _, _, section = DOCUMENTATION.read_text().partition("## Percentiles\n")
    configuration, command = re.findall(r"```(?:sh)?\n(.*?)```", section, re.DOTALL)[:2]
    www, node = free_port(), free_port()
    sections = configuration + FRONTEND.format(www=www, node=node)
    async with faulty_server(node), running_haproxy(tmp_path / "h", binary, sections) as haproxy:
        for path, number in (("/ok", 90), ("/slow", 8), ("/stream", 2), ("/reset", 3)):
            await asyncio.gather(*(is_error(www, path) for _ in range(number)))
        events = await haproxy.ask("show events rolldeck")
    _, _, pipeline = command.partition("admin.sock |\n")
    out = await asyncio.to_thread(_pipe, pipeline, events)
    found = re.fullmatch(r"shop/web1: 100 requests, 50 % (\d+) ms, 95 % (\d+) ms, 99 % (\d+) ms\n", out)
    assert found, out
    median, p95, p99 = map(int, found.groups())
    assert median < 300 <= p95 <= p99
