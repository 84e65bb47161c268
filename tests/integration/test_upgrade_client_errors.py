"""A version that is healthy but gives clients errors of any kind is stopped at the first node."""

from pathlib import Path

import pytest

from console.demo.load import Load
from console.demo.stack import Stack
from tests.support.rollouts import (
    MAINT,
    NEW,
    edit_haproxy,
    rolldeck,
    states,
    tune,
    until_up,
    upgrade,
    world,
)
from tests.support.servers.haproxy import newest_haproxy

RATE = 60

ANSWER = "        status, body = self._look_up(path, seconds)\n"
LINGER = "import struct; connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))"
BREAK_OFF = "connection.sendall(b'HTTP/1.1 200 OK\\r\\nContent-Length: 9\\r\\n\\r\\n?'); time.sleep(0.05)"
FAULTS = {"resets": LINGER, "breaks off": BREAK_OFF, "does not answer": "time.sleep(3)"}


def spoil(stack: Stack, fault: str) -> None:
    """Make the new version fail like this on `/`, and only there."""
    for node in stack.nodes.values():
        path = node.directory / "releases" / NEW / "app.py"
        text = path.read_text()
        assert ANSWER in text
        path.write_text(
            text.replace(
                ANSWER, f"        if path == '/':\n            {fault}\n            raise OSError\n{ANSWER}"
            )
        )


@pytest.mark.parametrize("fault", [pytest.param("breaks off", marks=pytest.mark.long), "does not answer"])
async def test_a_version_that_fails_its_clients(tmp_path: Path, fault: str) -> None:
    await stops_at_the_first_node(tmp_path, fault)


@pytest.mark.parametrize("binary", newest_haproxy())
async def test_one_that_resets_on_every_haproxy(tmp_path: Path, binary: Path) -> None:
    await stops_at_the_first_node(tmp_path, "resets", haproxy=str(binary))


async def stops_at_the_first_node(place: Path, fault: str, **options: str) -> None:
    async with world(place / "s", nodes=2, **options) as stack:
        spoil(stack, FAULTS[fault])
        tune(stack, "apps.shop.rollout", bake_time=20)
        if fault == "does not answer":
            await edit_haproxy(stack, lambda text: text.replace("timeout server 30s", "timeout server 500ms"))
            await until_up(stack, "shop")
        async with Load(RATE, stack.frontends, slow_share=0, keep_alive_share=0) as load:
            run = await upgrade(stack)
            report = await load.stop()
        assert run.code == 1, run.text
        assert (run.ended["failed"], run.ended["pending"]) == (["web1"], ["web2"])
        for servers in (await states(stack)).values():
            assert {name: server.admin for name, server in servers.items()} == {"web1": MAINT, "web2": 0}
        [failed] = [event for event in run.events if event["event"] == "node_failed"]
        assert failed["step"] == "verify"
        assert "fails" in failed["error"]
        assert "the others 0 of" in failed["error"]
        [traffic] = [event for event in run.events if event["event"] == "traffic"]
        assert traffic["errors"] > 0
        if fault == "does not answer":  # the last ones are still in flight when the rollout has ended
            assert traffic["errors"] <= report.total_failed
        else:
            # Those that were in flight when the counters were read for the last time count on one side only.
            counted = traffic["errors"] + traffic["unattributed"]
            assert abs(counted - report.total_failed) <= 2, (traffic, report.total_failed)
        history = await rolldeck(stack, "history", "show", "1")
        assert f"{traffic['errors']} error" in history.out
