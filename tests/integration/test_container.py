"""Real Podman containers as services."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from backends.errors import Refused, UnreadableReply
from backends.hosts.local import LocalHost
from backends.hosts.ports import NodePort
from backends.node_state import Activity, ServiceState
from backends.services.container import ContainerService, ContainerSettings
from tests.support.servers import containers
from tests.support.servers.containers import Podman
from tests.support.servers.tcp_listener import listening
from tests.support.wait import until

pytestmark = pytest.mark.skipif(bool(containers.missing()), reason=containers.missing())

HOST = LocalHost("web1")
POLITE = "trap 'exit 0' TERM; while :; do sleep 0.1; done"
STUBBORN = "trap '' TERM; while :; do sleep 0.1; done"


@pytest.fixture
def podman(tmp_path: Path) -> Iterator[Podman]:
    with containers.podman(tmp_path) as engine:
        yield engine


def service(podman: Podman, name: str = "web", host: LocalHost = HOST) -> ContainerService:
    settings = ContainerSettings(name=name, engine="podman", engine_options=podman.options, stop_timeout=1)
    return ContainerService(host, settings, {})


async def ended(container: ContainerService) -> ServiceState:
    """Its state once it does not run any more."""

    async def is_over() -> bool:
        return (await container.state()).activity is not Activity.RUNNING

    await until(is_over)
    return await container.state()


async def test_stop_and_start_are_read_back(podman: Podman) -> None:
    podman.run("web", POLITE)
    container = service(podman)
    before = await container.state()
    assert before.activity is Activity.RUNNING
    assert before.pid is not None
    assert await HOST.alive(before.pid)

    await container.stop()
    assert await container.state() == ServiceState(Activity.STOPPED, None, "exited, exit status 0")
    assert not await HOST.alive(before.pid)
    await container.stop()  # again: nothing to do is no error

    await container.start()
    after = await container.state()
    assert after.activity is Activity.RUNNING
    assert after.pid != before.pid


async def test_one_that_ignores_the_signal_is_killed_and_counts_as_stopped(podman: Podman) -> None:
    podman.run("web", STUBBORN)
    await service(podman).stop()
    state = await service(podman).state()
    assert state == ServiceState(Activity.STOPPED, None, "exited, exit status 137")


async def test_one_that_ended_with_an_error_has_failed(podman: Podman) -> None:
    podman.run("web", "exit 7")
    state = await ended(service(podman))
    assert (state.activity, state.pid) == (Activity.FAILED, None)
    assert "exit status 7" in state.detail


async def test_one_that_is_paused_does_not_run(podman: Podman) -> None:
    podman.run("web", POLITE)
    podman.call("pause", "web")
    state = await service(podman).state()
    assert (state.activity, state.detail) == (Activity.FAILED, "paused")
    assert state.unwatched.endswith("unpause web` ends")
    podman.call("unpause", "web")
    assert (await service(podman).state()).activity is Activity.RUNNING


async def test_one_that_does_not_exist_is_stopped_and_cannot_be_started(podman: Podman) -> None:
    container = service(podman, "nobody")
    state = await container.state()
    assert state == ServiceState(Activity.STOPPED, None, "no such container: nobody")
    with pytest.raises(Refused, match=r"start nobody: .*no such container"):
        await container.start()


async def test_a_start_that_fails_says_why(podman: Podman) -> None:
    podman.create("web", "/no/such/program")
    with pytest.raises(Refused, match=r"start web: exit status 12\d: .*/no/such/program"):
        await service(podman).start()
    assert (await service(podman).state()).activity is not Activity.RUNNING


async def test_what_it_wrote_last_and_what_its_engine_leaves_open(podman: Podman) -> None:
    podman.run("web", "echo out; sleep 0.1; echo err >&2; exit 4")
    assert "exit status 4" in (await ended(service(podman))).detail
    assert await service(podman).last_lines() == ("out", "err")
    reboot = "the container has no restart policy: after a reboot it is up only if something else starts it"
    assert await service(podman).caveats() == (reboot,)
    nobody = service(podman, "nobody")
    assert await nobody.last_lines() == ()
    assert "the container does not exist" in (await nobody.caveats())[0]


async def test_its_log_is_followed_until_it_ends(podman: Podman) -> None:
    podman.run("web", "echo out; echo err >&2; while ! test -e /go; do sleep 0.05; done; echo end")
    touch = ("sh", "-c", ": >/go")
    source = await service(podman).log_source(10, follow=True)
    found: list[str] = []
    async with asyncio.timeout(30), HOST.stream(source.command) as stream:
        while len(found) < 2:
            found += await stream.read_lines()
        podman.call("exec", "web", *touch)
        while lines := await stream.read_lines():
            found += lines
        assert (sorted(found[:2]), found[2:], stream.exit_status) == (["err", "out"], ["end"], 0)


async def test_without_the_engine_nothing_is_measured(podman: Podman) -> None:
    host = LocalHost("web1", prefix="env PATH=/nowhere")
    with pytest.raises(UnreadableReply, match="inspect web"):
        await service(podman, host=host).state()


async def test_a_port_inside_a_container_with_nothing_but_busybox(podman: Podman) -> None:
    podman.run("web", POLITE)
    prefix = f"podman {podman.options} exec web"
    inside = LocalHost("web1", prefix=prefix)

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with listening(answer) as port:
        assert await NodePort(inside, port).is_open()
    assert not await NodePort(inside, port).is_open()
