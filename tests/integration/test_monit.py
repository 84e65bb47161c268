"""A real Monit and a real application: what is asked, what is read back, and when it lies."""

import contextlib
import os
import shlex
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from backends.command import Command, CommandFinished
from backends.errors import Busy, Refused, UnreadableReply
from backends.hosts.local import LocalHost
from backends.hosts.ports import NodePort
from backends.node_state import Activity
from backends.services.monit import MonitService, MonitSettings
from tests.support.recorder import exchanges
from tests.support.servers.monit import Monit, needs_monit, running_monit
from tests.support.wait import until

pytestmark = needs_monit

HOST = LocalHost("web1")


@pytest.fixture
def monit(tmp_path: Path) -> Iterator[Monit]:
    with running_monit(tmp_path) as running:
        yield running


def service(monit: Monit, name: str = "shop", host: LocalHost = HOST) -> MonitService:
    return MonitService(host, MonitSettings(name=name, command=monit.command), {})


async def is_up(monit: Monit) -> bool:
    state = await service(monit).state()
    return state.activity is Activity.RUNNING and await NodePort(HOST, monit.port).is_open()


async def is_down(monit: Monit) -> bool:
    state = await service(monit).state()
    return state.activity is Activity.STOPPED


async def test_a_name_of_several_words(tmp_path: Path) -> None:
    with running_monit(tmp_path, name="My shop: front end") as monit:
        named = service(monit, "My shop: front end")

        async def runs() -> bool:
            state = await named.state()
            return state.activity is Activity.RUNNING and await NodePort(HOST, monit.port).is_open()

        async def stopped() -> bool:
            return (await named.state()).activity is Activity.STOPPED

        await until(runs)
        transcript: list[CommandFinished] = []
        await service(monit, "My shop: front end", LocalHost("web1", listener=exchanges(transcript))).stop()
        await until(stopped)
        assert [command.command for command in transcript] == [f"{monit.command} stop 'My shop: front end'"]
        assert not await NodePort(HOST, monit.port).is_open()
        await named.start()
        await until(runs)


async def test_stop_and_start_are_read_back(monit: Monit) -> None:
    await until(lambda: is_up(monit))
    before = await service(monit).state()
    assert before.pid == monit.application_pid()

    transcript: list[CommandFinished] = []
    await service(monit, host=LocalHost("web1", listener=exchanges(transcript))).stop()
    asked = await service(monit).state()
    assert asked.activity in (Activity.CHANGING, Activity.STOPPED)
    await until(lambda: is_down(monit))
    assert not await NodePort(HOST, monit.port).is_open()
    assert not await HOST.alive(before.pid)
    assert (await service(monit).state()).pid is None
    assert [exchange.command for exchange in transcript] == [f"{monit.command} stop shop"]

    await service(monit).start()
    await until(lambda: is_up(monit))
    after = await service(monit).state()
    assert after.pid == monit.application_pid() != before.pid


async def test_a_stop_that_fails_ends_as_not_monitored(monit: Monit) -> None:
    await until(lambda: is_up(monit))
    await service(monit).stop()
    await until(lambda: is_down(monit))
    monit.mode("stubborn")
    await service(monit).start()
    await until(lambda: is_up(monit))
    pid = (await service(monit).state()).pid
    assert pid is not None

    await service(monit).stop()
    assert (await service(monit).state()).detail.endswith("stop pending")
    await until(lambda: is_down(monit))
    assert "failed to stop" in monit.log
    assert await NodePort(HOST, monit.port).is_open()  # what Monit says is not the truth
    assert await HOST.alive(pid)


async def test_another_action_has_to_end_first(monit: Monit) -> None:
    await until(lambda: is_up(monit))
    await service(monit).stop()
    with pytest.raises(Busy, match="monit start shop: Monit is busy with its service: stop pending"):
        await service(monit).start()  # at once

    async def accepted() -> bool:
        with contextlib.suppress(Busy):
            await service(monit).start()
            return True
        return False

    await until(accepted)
    await until(lambda: is_up(monit))
    assert monit.log.count("'shop' stop on user request") == 1
    assert monit.log.index("stop on user request") < monit.log.index("start on user request")


async def test_a_version_that_dies_at_once_alternates(monit: Monit) -> None:
    await until(lambda: is_up(monit))
    await service(monit).stop()
    await until(lambda: is_down(monit))
    monit.mode("dies")
    await service(monit).start()
    seen: list[Activity] = []

    async def alternated() -> bool:
        activity = (await service(monit).state()).activity
        if not seen or seen[-1] is not activity:
            seen.append(activity)
        return seen.count(Activity.RUNNING) > 1

    await until(alternated)
    assert set(seen) == {Activity.RUNNING, Activity.CHANGING}


async def test_monit_starts_again_what_ended_behind_its_back(monit: Monit) -> None:
    await until(lambda: is_up(monit))
    pid = monit.application_pid()
    os.kill(pid, signal.SIGKILL)

    async def back() -> bool:
        state = await service(monit).state()
        return state.activity is Activity.RUNNING and state.pid not in (None, pid)

    await until(back)


async def test_a_service_that_monit_does_not_have(monit: Monit) -> None:
    stranger = service(monit, "stranger")
    for question in (stranger.state, stranger.stop, stranger.start):
        with pytest.raises(Refused, match="monit has no service stranger"):
            await question()


async def test_with_no_daemon_nothing_is_stopped(monit: Monit) -> None:
    await until(lambda: is_up(monit))
    pid = monit.application_pid()
    monit.stop()
    with pytest.raises(UnreadableReply, match="the monit daemon is not running"):
        await service(monit).state()
    with pytest.raises(Refused, match="not asked to stop shop: the monit daemon is not running"):
        await service(monit).stop()
    assert await HOST.alive(pid)  # `monit stop` itself would have stopped it, and exited with 0


async def test_a_monit_that_hangs_is_not_asked(monit: Monit) -> None:
    await until(lambda: is_up(monit))
    monit.signal(signal.SIGSTOP)
    with pytest.raises(Refused, match=r"not asked to stop shop: .*Error receiving data"):
        await service(monit).stop()
    monit.signal(signal.SIGCONT)
    assert await is_up(monit)
    assert "stop on user request" not in monit.log


async def test_what_is_not_monitored_says_how_monit_stops_it_again(monit: Monit) -> None:
    await until(lambda: is_up(monit))
    command = Command((*shlex.split(monit.command), "unmonitor", "shop"))
    assert (await HOST.run(command)).ok
    await until(lambda: is_down(monit))
    assert await NodePort(HOST, monit.port).is_open()
    state = await service(monit).state()
    assert "Monit does not watch it" in state.unwatched
    assert state.unwatched.endswith(f"{monit.command} monitor shop")


MORE = """\
  onreboot nostart
check process child with pidfile /nonexistent/child.pid
  start program = "/bin/true"
  stop program = "/bin/true"
  depends on shop
check process bare with pidfile /nonexistent/bare.pid
  every 5 cycles
"""


async def test_what_its_control_file_leaves_open_and_what_it_logs(tmp_path: Path) -> None:
    with running_monit(tmp_path, more=MORE) as monit:
        shop = service(monit)

        async def is_logged() -> bool:
            return bool(await shop.last_lines())

        await shop.start()  # which Monit does not do by itself when it finds no state from before a reboot
        await until(is_logged)
        assert await shop.obstacles() == ()
        assert await shop.caveats() == (
            "after a reboot Monit would not start its service (onreboot nostart)",
            "with its service Monit stops child too, and does not start that again",
        )
        lines = await shop.last_lines()
        assert [line for line in lines if "'shop'" in line] == list(lines)
        assert await service(monit, "child").caveats() == ()
        assert await service(monit, "bare").caveats() == (
            "Monit does not check its service in every cycle (Check service every 5 cycles; a cycle is"
            " 1 seconds with start delay 0 seconds), and notices a start only at its next check:"
            " start_timeout has to be longer than that",
        )
        assert await service(monit, "bare").obstacles() == (
            "Monit has no stop program for bare, and would stop nothing",
            "Monit has no start program for bare, and would start nothing",
        )
