"""Containers of a real Docker engine as services: faults, and their messages."""

import asyncio
from collections.abc import Iterator

import pytest

from backends.command import Command
from backends.errors import PermissionDenied, Refused, UnreadableReply
from backends.hosts.local import LocalHost
from backends.installers.container import ContainerInstall
from backends.kinds import default_version, make_installer
from backends.node_state import Activity, Presence, ServiceState
from backends.services.container import ContainerService, ContainerSettings
from orchestrator.planning.findings import Severity
from tests.integration.ways_back import find_ways_back
from tests.support.servers import docker_engine
from tests.support.servers.docker_engine import EATS, IMAGE, LIMITS, POLITE, Docker
from tests.support.wait import until

pytestmark = pytest.mark.skipif(bool(docker_engine.missing()), reason=docker_engine.missing())

HOST = LocalHost("web1")
NO_POLICY = "the container has no restart policy: after a reboot it is up only if something else starts it"


@pytest.fixture(scope="module")
def engine() -> Iterator[Docker]:
    with docker_engine.docker() as running:
        yield running


@pytest.fixture(autouse=True)
def clean(engine: Docker) -> Iterator[None]:
    yield
    engine.remove_all()


def service(engine: Docker, *, recreated: bool | None = None, host: LocalHost = HOST) -> ContainerService:
    settings = ContainerSettings(name="web", engine_options=engine.options, stop_timeout=1)
    return ContainerService(host, settings, {}, recreated=recreated)


async def until_state(container: ContainerService, words: str) -> ServiceState:
    """Its state once these words are in it."""
    states: list[ServiceState] = []

    async def is_so() -> bool:
        states.append(await container.state())
        return words in states[-1].detail

    await until(is_so)
    return states[-1]


async def test_stop_and_start_are_read_back(engine: Docker) -> None:
    engine.run("web", POLITE, "--restart=unless-stopped")
    container = service(engine)
    before = await container.state()
    assert before.activity is Activity.RUNNING
    assert before.pid is not None
    await container.stop()
    assert await container.state() == ServiceState(Activity.STOPPED, None, "exited, exit status 0")
    assert not await HOST.alive(before.pid)
    await container.start()
    assert (await container.state()).activity is Activity.RUNNING
    assert await container.obstacles() == await container.caveats() == ()


async def test_a_stop_that_is_ignored_ends_in_a_kill(engine: Docker) -> None:
    engine.run("web", "trap '' TERM; while :; do sleep 0.1; done")
    await service(engine).stop()
    assert await service(engine).state() == ServiceState(Activity.STOPPED, None, "exited, exit status 137")


async def test_one_that_is_paused_can_be_stopped(engine: Docker) -> None:
    engine.run("web", POLITE)
    engine.call("pause", "web")
    state = await service(engine).state()
    assert (state.activity, state.detail) == (Activity.FAILED, "paused")
    assert state.unwatched.endswith("unpause web` ends")
    await service(engine).stop()
    assert (await service(engine).state()).activity is Activity.STOPPED


async def test_one_that_its_own_health_check_finds_bad_is_not_up(engine: Docker) -> None:
    check = ("--health-cmd", "cat /well", "--health-interval=100ms", "--health-retries=1")
    engine.run("web", POLITE, *check)
    state = await service(engine).state()
    assert state.activity is Activity.CHANGING
    state = await until_state(service(engine), "running, unhealthy by its own health check: cat: ")
    assert (state.activity, state.self_checked) == (Activity.CHANGING, True)
    assert state.pid is not None
    engine.call("exec", "web", "sh", "-c", "echo >/well")
    await until(lambda: is_running(engine))


async def is_running(engine: Docker) -> bool:
    return (await service(engine).state()).activity is Activity.RUNNING


async def test_one_that_dies_again_and_again_is_being_retried_until_it_is_stopped(engine: Docker) -> None:
    engine.run("web", "exit 3", "--restart=always")
    state = await until_state(service(engine), "restarting, exit status 3")
    assert (state.activity, state.retrying) == (Activity.CHANGING, True)
    assert "restart policy always" in (await service(engine).caveats())[0]
    await service(engine).stop()
    assert (await service(engine).state()).activity is Activity.FAILED


async def test_a_start_that_fails_says_why(engine: Docker) -> None:
    engine.call("create", "--name", "web", *LIMITS, f"{IMAGE}:1", "/no/such/program")
    with pytest.raises(Refused, match=r"start web: exit status 1: .*/no/such/program"):
        await service(engine).start()
    state = await service(engine).state()
    assert state.activity is Activity.FAILED
    assert "/no/such/program" in state.detail


async def test_the_last_lines_of_one_that_dies_after_its_start(engine: Docker) -> None:
    script = "for n in 1 2 3 4; do echo out $n; sleep 0.02; echo err $n >&2; sleep 0.02; done; exit 4"
    engine.run("web", script)
    state = await until_state(service(engine), "exited, exit status 4")
    assert state.activity is Activity.FAILED
    lines = await service(engine).last_lines()
    assert len(lines) == 5
    for output in ("out", "err"):  # a busy engine may read one a little later than the other
        own = [line for line in lines if line.startswith(output)]
        assert own == [f"{output} {n}" for n in (1, 2, 3, 4)][-len(own) :] != []
    engine.remove_all()
    assert await service(engine).last_lines() == ()
    engine.run("web", "echo secret", "--log-driver=none")
    assert await service(engine).last_lines() == ()


async def test_one_that_is_killed_for_lack_of_memory(engine: Docker) -> None:
    if not engine.limits_memory():
        pytest.skip("the kernel has no limit of memory for containers")
    engine.run("web", EATS, "--memory=8m")
    state = await until_state(service(engine), "exited")
    expected = "exited, exit status 137, killed for lack of memory"
    assert state == ServiceState(Activity.FAILED, None, expected)


async def test_what_would_not_be_there_after_the_stop(engine: Docker) -> None:
    """Only an installer of containers brings it again."""
    absent = "the container does not exist, and only a container installer would create it"
    assert await service(engine, recreated=False).obstacles() == (absent,)
    assert await service(engine).caveats() == (absent,)
    assert await service(engine, recreated=True).obstacles() == ()
    engine.run("web", POLITE, "--rm")
    (obstacle,) = await service(engine, recreated=False).obstacles()
    assert "was made with --rm" in obstacle
    assert await service(engine).caveats() == (obstacle, NO_POLICY)
    assert await service(engine, recreated=True).obstacles() == ()
    await service(engine).stop()
    assert (await until_state(service(engine), "no such container: web")).activity is Activity.STOPPED
    with pytest.raises(Refused, match="No such container: web"):
        await service(engine).start()


async def test_an_id_that_begins_with_the_name_is_no_name(engine: Docker) -> None:
    """`docker stop fe` stops a stranger whose id begins so, where no container is called fe."""
    engine.run("stranger", POLITE)
    name = engine.call("ps", "--quiet", "--no-trunc")[:4]
    settings = ContainerSettings(name=name, engine_options=engine.options)
    container = ContainerService(HOST, settings, {}, recreated=False)
    absent = ServiceState(Activity.STOPPED, None, f"no such container: {name}")
    assert await container.state() == absent
    assert len(await container.obstacles()) == 1
    creation = "docker create --name wrong {image}:{version} sh"
    install = ContainerInstall(name=name, image=IMAGE, create=creation, engine_options=engine.options)
    version = default_version(install)
    assert version is not None
    installer = make_installer(install, version, host=HOST, console=HOST, values={})
    assert await installer.installed() is None
    with pytest.raises(Refused, match=r"install 2: exit status 1"):
        await installer.install("2")
    assert engine.call("ps", "--format", "{{.Names}}") == "stranger\n"


async def test_one_that_somebody_else_would_replace(engine: Docker) -> None:
    engine.run("web", POLITE, "--label", "com.docker.swarm.service.name=shop")
    assert await service(engine).obstacles() == (
        "the container belongs to the swarm service shop, which would replace it",
    )


async def test_an_engine_that_does_not_answer(engine: Docker) -> None:
    gone = ContainerService(
        HOST, ContainerSettings(name="web", engine_options="--host unix:///nowhere/docker.sock"), {}
    )
    for look in (gone.state, gone.caveats, gone.last_lines):
        with pytest.raises(UnreadableReply, match="Cannot connect to the Docker daemon"):
            await look()
    nobody = LocalHost("web1", prefix="setpriv --reuid=65534 --regid=65534 --clear-groups")
    (engine.folder).chmod(0o711)
    with pytest.raises(UnreadableReply, match=r"inspect web: .*permission denied"):
        await service(engine, host=nobody).state()
    with pytest.raises(PermissionDenied, match="permission denied"):
        await service(engine, host=nobody).stop()


async def test_images_of_the_engine(engine: Docker) -> None:
    settings = ContainerInstall(
        name="web",
        image=IMAGE,
        create=f"docker {engine.options} create --name {{name}} {' '.join(LIMITS)} {{image}}:{{version}} sh",
        engine_options=engine.options,
    )
    version = default_version(settings)
    assert version is not None
    installer = make_installer(settings, version, host=HOST, console=HOST, values={})
    assert await installer.installed() is None
    assert (await installer.check_availability("2")).presence is Presence.THERE
    missing = await installer.check_availability("9")
    assert (missing.presence, set(missing.others)) == (Presence.NOT_KNOWN, {"1", "2"})
    assert "the registry could not be asked" in missing.detail
    for wanted in ("1", "2", "1"):
        await installer.install(wanted)
        assert await installer.installed() == wanted
    assert await find_ways_back(installer, "2") == []
    engine.run("web-previous", POLITE)
    blocked = await installer.check_availability("2")
    assert blocked.presence is Presence.NOT_THERE
    assert "the container web-previous runs, and has the name that the old one gets" in blocked.detail
    done = await HOST.run(Command(("sh", "-c", blocked.detail.partition("first run: ")[2])))
    assert done.ok, done.stderr
    assert (await installer.check_availability("2")).presence is Presence.THERE
    with pytest.raises(Refused, match=r"install 9: exit status 1: Unable to find image"):
        await asyncio.wait_for(installer.install("9"), 60)
    assert await installer.installed() == "1"
    assert engine.call("ps", "--all", "--format", "{{.Names}}").split() == ["web"]
    await installer.install("2")
    engine.call("rmi", "--force", f"{IMAGE}:2")
    [found] = await find_ways_back(installer, "1")
    assert found.severity is Severity.INFO
    unknown = "not checked whether a rollback to 2 would work: the registry could not be asked"
    assert found.text.startswith(unknown)
    assert found.text.endswith("; there is 1")
