"""Programs of a real supervisord: what it says, and what it does."""

import asyncio
import contextlib
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from backends.errors import Refused, UnknownOutcome, UnreadableReply
from backends.hosts.local import LocalHost
from backends.node_state import Activity
from backends.services.supervisor import (
    AUTORESTART_UNKNOWN,
    NOT_AT_BOOT,
    SupervisorService,
    SupervisorSettings,
)
from tests.support.servers.supervisor import Supervisor, needs_supervisor, running_supervisor
from tests.support.wait import until

pytestmark = needs_supervisor

PROGRAMS = """\
[program:shop]
command=sh -c 'echo started; exec sleep 1000'
startsecs=0

[program:stubborn]
command=sh -c 'trap "" TERM; while :; do sleep 0.1; done'
startsecs=0
stopwaitsecs=1
stopasgroup=true
killasgroup=true
autostart=false

[program:fails]
command=sh -c 'echo reads /etc/shop; echo cannot read the configuration >&2; exit 3'
startretries=1
autostart=false

[program:ends]
command=sh -c 'sleep 1; exit 3'
startsecs=0
autorestart=false
autostart=false
redirect_stderr=true

[group:pair]
programs=ends
"""


@pytest.fixture(scope="module")
def supervisor() -> Iterator[Supervisor]:
    with tempfile.TemporaryDirectory() as folder, running_supervisor(Path(folder), PROGRAMS) as running:
        yield running


def service(supervisor: Supervisor, name: str, timeout: float = 30) -> SupervisorService:
    settings = SupervisorSettings(
        name=name, command=supervisor.command, timeout=timeout, stop_timeout=timeout
    )
    return SupervisorService(LocalHost("web1"), settings, {})


async def test_it_is_stopped_and_started(supervisor: Supervisor) -> None:
    shop = service(supervisor, "shop")
    await until(lambda: is_running(shop))
    first = (await shop.state()).pid
    assert first is not None
    assert await shop.obstacles() == ()
    await shop.stop()
    state = await shop.state()
    assert (state.activity, state.pid) == (Activity.STOPPED, None)
    assert not await LocalHost("web1").alive(first), "it waits until the process is gone"
    await shop.stop()  # again: it is no error
    await shop.start()
    await until(lambda: is_running(shop))
    assert (await shop.state()).pid not in (None, first)
    await shop.start()
    assert (await shop.last_lines())[-1] == "started"


async def is_running(unit: SupervisorService) -> bool:
    return (await unit.state()).activity is Activity.RUNNING


async def test_a_stop_is_waited_for_and_killed(supervisor: Supervisor) -> None:
    stubborn = service(supervisor, "stubborn")
    await stubborn.start()
    await until(lambda: is_running(stubborn))
    await stubborn.stop()
    assert (await stubborn.state()).activity is Activity.STOPPED


async def test_a_start_that_fails(supervisor: Supervisor) -> None:
    fails = service(supervisor, "fails")
    with pytest.raises(Refused, match=r"exit status 7: fails: ERROR \(spawn error\)"):
        await fails.start()
    assert set(await fails.last_lines()) == {"reads /etc/shop", "cannot read the configuration"}

    async def has_given_up() -> bool:
        state = await fails.state()
        assert state.activity is Activity.FAILED or state.activity is Activity.CHANGING
        return state.activity is Activity.FAILED

    await until(has_given_up)
    assert (await fails.state()).detail.startswith("FATAL")
    await fails.stop()


async def test_one_of_a_group_that_ends(supervisor: Supervisor) -> None:
    ends = service(supervisor, "pair:ends")
    await ends.start()

    async def has_ended() -> bool:
        return (await ends.state()).detail.startswith("EXITED")

    await until(has_ended)
    assert (await ends.state()).activity is Activity.FAILED
    with pytest.raises(Refused, match="no program ends"):
        await service(supervisor, "ends").state()


async def test_what_becomes_of_it_later(supervisor: Supervisor) -> None:
    assert await service(supervisor, "shop").caveats() == (AUTORESTART_UNKNOWN,)
    assert await service(supervisor, "pair:ends").caveats() == (AUTORESTART_UNKNOWN, NOT_AT_BOOT)


async def test_one_that_hangs_is_not_known(supervisor: Supervisor) -> None:
    supervisor.signal(signal.SIGSTOP)
    try:
        with pytest.raises(UnreadableReply):
            await service(supervisor, "shop", timeout=1).state()
        with pytest.raises(UnknownOutcome):
            await service(supervisor, "stubborn", timeout=1).stop()
    finally:
        supervisor.signal(signal.SIGCONT)


async def test_one_that_is_not_there(tmp_path: Path) -> None:
    command = f"/usr/bin/supervisorctl -s unix://{tmp_path}/none.sock"
    gone = SupervisorService(LocalHost("web1"), SupervisorSettings(name="shop", command=command), {})
    with pytest.raises(UnreadableReply, match="no such file"):
        await gone.state()
    with pytest.raises(Refused, match="no such file"):
        await gone.stop()
    assert await gone.last_lines() == ()


async def test_its_log_is_followed_on_both_outputs(supervisor: Supervisor) -> None:
    fails, host = service(supervisor, "fails"), LocalHost("web1")
    source = await fails.log_source(10, follow=True)
    with contextlib.suppress(Refused):
        await fails.start()
    found: list[str] = []
    async with asyncio.timeout(30), host.stream(source.command) as stream:
        while "cannot read the configuration" not in found:
            found += await stream.read_lines()
    once = await fails.log_source(10, follow=False)
    async with host.stream(once.command) as stream:
        assert "cannot read the configuration" in await stream.read_lines()
