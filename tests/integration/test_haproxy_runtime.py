"""The Runtime API on every real HAProxy that is there: each write is read back, each refusal is heard."""

import asyncio
from typing import TYPE_CHECKING

import pytest

from backends.errors import PermissionDenied, Refused, UnknownOutcome, Unreachable
from backends.haproxy import commands
from backends.model import Admin, AdminState, Level
from tests.integration.runtime_haproxy import ref, runtime, server, wait_for_server
from tests.support.servers.haproxy import RunningHaproxy, haproxy_binaries
from tests.support.servers.http_server import Answering

if TYPE_CHECKING:
    from backends.command import CommandFinished

pytestmark = pytest.mark.parametrize("binary", haproxy_binaries())


@pytest.mark.parametrize("way", ["unix", "tcp", "master"])
async def test_every_write_is_read_back(haproxy: RunningHaproxy, way: str) -> None:
    lb = {
        "unix": lambda: runtime(haproxy.socket),
        "tcp": lambda: runtime(f"tcp://127.0.0.1:{haproxy.port}"),
        "master": lambda: runtime(haproxy.master_socket, master=True),
    }[way]()
    snapshot = await lb.snapshot()
    assert snapshot.level is Level.ADMIN
    assert snapshot.info.pid == haproxy.worker
    assert not snapshot.info.stopping
    assert [backend.name for backend in snapshot.backends] == ["shop", "fixed", "cut", "3scale", "front-too"]
    web1, web2, minded = ref("web1"), ref("web2"), ref("minded")

    await lb.write(commands.drain(web1))
    assert (await server(lb, "web1")).admin is Admin.FORCED_DRAIN
    assert (await server(lb, "follower")).admin is Admin.INHERITED_DRAIN
    await lb.write(commands.maint(web1))
    assert (await server(lb, "web1")).admin is Admin.FORCED_MAINT
    assert (await server(lb, "follower")).status == "MAINT (via shop/web1)"
    await lb.write(commands.ready(web1))
    assert (await server(lb, "web1")).admin is Admin.NONE

    assert (await server(lb, "web2")).admin is Admin.CONFIG_MAINT | Admin.FORCED_MAINT
    await lb.write(commands.ready(web2))
    assert (await server(lb, "web2")).admin_state is AdminState.READY

    for value, expected in (("0", 0), ("256", 256), ("50%", 25), ("100%", 50)):
        await lb.write(commands.weight(web1, value))
        found = await server(lb, "web1")
        assert (found.weight, found.initial_weight) == (expected, 50)

    assert (await server(lb, "minded")).agent
    await lb.write(commands.agent_off(minded))
    off = await server(lb, "minded")
    assert (off.agent, off.agent_configured) == (False, True)
    await lb.write(commands.agent_on(minded))
    assert (await server(lb, "minded")).agent
    await lb.write(commands.shutdown_sessions(web1))


async def test_what_was_sent_and_said_is_recorded(haproxy: RunningHaproxy) -> None:
    seen: list[CommandFinished] = []
    lb = runtime(haproxy.socket, seen=seen)
    await lb.snapshot()
    await lb.write(commands.maint(ref("web1")))
    with pytest.raises(Refused):
        await lb.write(commands.maint(ref("none")))
    number = "set severity-output number; "
    assert [(server.command, server.reply, server.ok) for server in seen] == [
        (number + "set server shop/web1 state maint", "\n\n", True),
        (number + "set server shop/none state maint", "\n[3]: No such server.\n\n", True),
    ]


@pytest.mark.parametrize("master", [False, True])
async def test_refusals_in_haproxys_words(haproxy: RunningHaproxy, master: bool) -> None:
    lb = runtime(haproxy.master_socket if master else haproxy.socket, master=master)
    refusals = {
        commands.drain(ref("none")): "No such server.",
        commands.drain(ref("web1", "none")): "No such backend.",
        commands.agent_off(ref("none")): "No such server.",
        commands.shutdown_sessions(ref("none")): "No such server.",
        commands.weight(ref("web1", "fixed"), "50"): (
            "Backend is using a static LB algorithm and only accepts weights '0%' and '100%'."
        ),
    }
    for command, words in refusals.items():
        with pytest.raises(Refused) as caught:
            await lb.write(command)
        assert type(caught.value) is Refused
        assert caught.value.problem == f"`{command}`: {words}"
    await lb.write(commands.weight(ref("web1", "fixed"), "0%"))
    assert (await server(lb, "web1", "fixed")).weight == 0

    with pytest.raises(Refused) as caught:
        await lb.write(commands.prove(ref("follower")))
    assert caught.value.problem == (
        "`set server shop/follower health down`: cannot change health on a tracking server."
        " (the rest of the line was executed)"
    )
    said = r"Can't find backend\. shopp \(did you mean 'shop'\?\), none; there is: .*shop"
    with pytest.raises(Refused, match=said):
        await lb.snapshot(["shop", "shopp", "none"])
    with pytest.raises(Refused, match="Unknown command"):
        await lb.write("no such thing")


@pytest.mark.parametrize("level", [Level.USER, Level.OPERATOR])
async def test_a_level_that_is_too_low_is_known_before_and_after(
    haproxy: RunningHaproxy, level: Level
) -> None:
    user = level is Level.USER
    lb = runtime(haproxy.user_socket if user else haproxy.operator_socket)
    snapshot = await lb.snapshot(["shop"])
    assert snapshot.level is level
    assert snapshot.servers[0].address == "127.0.0.1"
    for command in (commands.drain(ref("web1")), commands.prove(ref("web1"))):
        with pytest.raises(
            PermissionDenied, match=r"Permission denied.*; changing states needs admin \(`level"
        ):
            await lb.write(command)
    assert (await server(lb, "web1")).admin is Admin.NONE
    facts = await lb.facts()
    assert (facts.unseen == "") is not user
    assert ("Permission denied" in facts.unseen) is user


async def test_up_right_out_of_maintenance_proves_nothing(haproxy: RunningHaproxy, app: Answering) -> None:
    lb, web1 = runtime(haproxy.socket), ref("web1")
    await wait_for_server(lb, "web1", lambda s: s.in_rotation)
    await lb.write(commands.maint(web1))
    app.status = 503
    await lb.write(commands.ready(web1))
    trap = await server(lb, "web1")
    assert trap.status.startswith("UP ")
    assert not trap.checks_passed
    assert not trap.in_rotation


@pytest.mark.parametrize("master", [False, True])
async def test_checks_prove_a_server_in_drain_before_it_is_ready(
    haproxy: RunningHaproxy, app: Answering, master: bool
) -> None:
    lb = runtime(haproxy.master_socket if master else haproxy.socket, master=master)
    web1 = ref("web1")
    await wait_for_server(lb, "web1", lambda s: s.in_rotation)
    await lb.write(commands.maint(web1))
    app.status = 503
    await lb.write(commands.prove(web1))
    down = await server(lb, "web1")
    assert (down.status, down.admin_state, down.checks_passed) == ("DOWN", AdminState.DRAIN, False)
    await asyncio.sleep(0.4)  # more than two checks, that all fail
    assert (await server(lb, "web1")).status == "DOWN"
    app.status = 200
    proven = await wait_for_server(lb, "web1", lambda s: s.checks_passed)
    assert (proven.status, proven.check_health) == ("DRAIN", 4)
    await lb.write(commands.ready(web1))
    assert (await server(lb, "web1")).in_rotation


async def test_an_agent_puts_a_server_back_unless_it_is_off(haproxy: RunningHaproxy, app: Answering) -> None:
    lb, minded = runtime(haproxy.socket), ref("minded")
    await lb.write(commands.agent_off(minded))
    await lb.write(commands.maint(minded))
    app.agent = "ready"
    await asyncio.sleep(0.5)  # more than three agent checks, if there were any
    assert (await server(lb, "minded")).admin_state is AdminState.MAINT
    await lb.write(commands.agent_on(minded))
    await wait_for_server(lb, "minded", lambda s: s.admin_state is AdminState.READY)


async def test_a_server_that_ramps_up_is_not_in_full_rotation(haproxy: RunningHaproxy) -> None:
    lb, ramp = runtime(haproxy.socket), ref("ramp")
    await wait_for_server(lb, "ramp", lambda s: s.checks_passed)
    await lb.write(commands.maint(ramp))
    await lb.write(commands.ready(ramp))
    found = await wait_for_server(lb, "ramp", lambda s: s.status == "UP")
    assert found.throttle is not None
    assert not found.in_rotation


async def test_sessions_in_flight_are_seen_and_cut_only_on_request(
    haproxy: RunningHaproxy, app: Answering, front: int
) -> None:
    lb = runtime(haproxy.socket)
    await lb.write(commands.ready(ref("web1", "cut")))
    reader, writer = await asyncio.open_connection("127.0.0.1", front)
    writer.write(b"GET /slow HTTP/1.0\r\n\r\n")
    await wait_for_server(lb, "web1", lambda s: s.sessions == 1, "cut")
    await lb.write(commands.drain(ref("web1", "cut")))
    assert (await server(lb, "web1", "cut")).sessions == 1
    await lb.write(commands.shutdown_sessions(ref("web1", "cut")))
    async with asyncio.timeout(5):
        assert b" 200 " not in await reader.read(-1)
    writer.close()
    await writer.wait_closed()
    found = await server(lb, "web1", "cut")
    counted = found.counters
    assert (found.sessions, counted.total, counted.answered_5xx) == (0, 1, counted.answered)


async def test_a_reload_is_a_new_pid_and_loses_what_was_set(haproxy: RunningHaproxy) -> None:
    lb = runtime(haproxy.socket)
    before = (await lb.snapshot()).info.pid
    await lb.write(commands.maint(ref("web1")))
    await haproxy.reload()
    after = await lb.snapshot(["shop"])
    assert after.info.pid == haproxy.worker != before
    assert next(s for s in after.servers if s.ref.server == "web1").admin is Admin.NONE
    through_master = runtime(haproxy.master_socket, master=True)
    assert (await through_master.snapshot()).info.pid == haproxy.worker


async def test_a_haproxy_that_hangs_or_is_gone(haproxy: RunningHaproxy) -> None:
    hasty = runtime(haproxy.socket, timeout=0.3)
    haproxy.freeze()
    try:
        with pytest.raises(Unreachable, match=r"within 0\.3 s"):
            await hasty.snapshot(["shop"])
        with pytest.raises(UnknownOutcome, match=r"within 0\.3 s"):
            await hasty.write(commands.maint(ref("web1")))
    finally:
        haproxy.thaw()
    lb = runtime(haproxy.socket)
    # Carried out after all, or not: the accepted line is still there to be read.
    assert (await server(lb, "web1")).admin in (Admin.FORCED_MAINT, Admin.NONE)
    haproxy.kill()
    with pytest.raises(Unreachable, match="Connection refused"):
        await lb.snapshot()
    haproxy.socket.unlink()
    for action in (lb.snapshot(), lb.write(commands.maint(ref("web1")))):
        with pytest.raises(Unreachable, match="No such file or directory"):
            await action
    with pytest.raises(Unreachable, match="Connection refused"):
        await runtime(f"tcp://127.0.0.1:{haproxy.port}").snapshot()
