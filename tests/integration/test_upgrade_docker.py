"""Containers of a real Docker engine under load, by the engine itself and by compose; no request fails."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from console.demo.stack import Stack
from tests.integration.console_upgrades import upgrade_by_console
from tests.integration.container_nodes import (
    configure,
    container_world,
    creation,
    image_archive,
    install_section,
    section,
    server,
    service_section,
    verbs,
)
from tests.integration.under_load import resumed_under_load, rolled_back_under_load, upgraded_under_load
from tests.support.rollouts import (
    MAINT,
    NEW,
    OLD,
    states,
    tune,
    upgrade,
)
from tests.support.servers import docker_engine
from tests.support.servers.docker_engine import EATS, Docker
from tests.support.stacks import kill_application

MISSING = docker_engine.missing(compose=True)
pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING)

IMAGE = "127.0.0.1:1/rolldeck-shop"
SERVICE = """\
  {name}:
    image: {image}   # the shop's
    command: {server}
    network_mode: host
    stop_signal: SIGKILL
    restart: unless-stopped
    ulimits: {{nofile: 1024, nproc: 1000}}
"""


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Docker]:
    folder = tmp_path_factory.mktemp("images")
    with docker_engine.docker() as running:
        for version in (OLD, NEW):
            archive = image_archive(folder / f"{version}.tar", version)
            running.call("import", str(archive), f"{IMAGE}:{version}")
        yield running


@pytest.fixture(autouse=True)
def clean(engine: Docker) -> Iterator[None]:
    yield
    engine.remove_all()


async def into_containers(stack: Stack, engine: Docker) -> None:
    for name, node in stack.nodes.items():
        kill_application(node)
        engine.call(*creation(f"shop-{name}", f"{IMAGE}:{OLD}", str(node.port)).split())
        engine.call("start", f"shop-{name}")
    service = service_section("docker", engine.options)
    await configure(stack, service, install_section("docker", engine.options, IMAGE))


async def into_services(stack: Stack, engine: Docker, folder: Path) -> Path:
    """One compose file with a service for each node; returns it."""
    file = folder / "compose.yaml"
    text = 'version: "3.7"\n# One service for each node.\nservices:\n'
    for name, node in stack.nodes.items():
        kill_application(node)
        text += SERVICE.format(name=name, image=f"{IMAGE}:{OLD}", server=server(str(node.port)))
    file.write_text(text)
    compose = f"docker-compose --host {engine.address} -p shop"
    docker_engine.compose(engine, "-p", "shop", "-f", str(file), "up", "--detach")
    rows: dict[str, object] = {
        "kind": "compose",
        "file": str(file),
        "service": "{node}",
        "name": "shop_{node}_1",
        "command": compose,
        "engine_options": engine.options,
    }
    service = service_section("docker", engine.options, "shop_{node}_1")
    await configure(stack, service, section("install", rows))
    return file


async def upgrade_under_load(stack: Stack, slow_share: float = 0) -> list[str]:
    """What the engine was asked; nothing failed, and everything is back and new."""
    run = await upgraded_under_load(stack, slow_share=slow_share)
    assert {state.admin for state in (await states(stack))["lb1"].values()} == {0}
    return verbs(run, "docker")


def tags(engine: Docker) -> list[str]:
    """Of the images that containers were made of."""
    return [
        image.rpartition(":")[2] for image in engine.call("ps", "--all", "--format", "{{.Image}}").split()
    ]


async def test_two_containers_of_the_engine(tmp_path: Path, engine: Docker) -> None:
    async with container_world(tmp_path / "s") as stack:
        await into_containers(stack, engine)
        assert await upgrade_under_load(stack) == ["stop", "rename", "create", "rm", "start"] * 2
    names = engine.call("ps", "--all", "--format", "{{.Names}} {{.Image}}").splitlines()
    assert sorted(names) == [f"shop-web1 {IMAGE}:{NEW}", f"shop-web2 {IMAGE}:{NEW}"]


async def test_two_services_of_compose(tmp_path: Path, engine: Docker) -> None:
    async with container_world(tmp_path / "s") as stack:
        file = await into_services(stack, engine, tmp_path)
        before = file.read_text()
        assert await upgrade_under_load(stack) == ["stop", "up", "start"] * 2
    assert file.read_text() == before.replace(f":{OLD} ", f":{NEW} ")
    assert tags(engine) == [NEW] * 2


@pytest.mark.long
async def test_requests_of_two_seconds_are_not_cut_by_the_engine(tmp_path: Path, engine: Docker) -> None:
    """A stop is a SIGKILL here: they survive because the node has been drained."""
    async with container_world(tmp_path / "s") as stack:
        await into_containers(stack, engine)
        await upgrade_under_load(stack, slow_share=0.1)
    assert tags(engine) == [NEW] * 2


@pytest.mark.long
async def test_two_containers_by_the_console(tmp_path: Path, engine: Docker) -> None:
    async with container_world(tmp_path / "s") as stack:
        await into_containers(stack, engine)
        await upgrade_by_console(stack)
    assert tags(engine) == [NEW] * 2


@pytest.mark.long
async def test_four_services_by_the_console(tmp_path: Path, engine: Docker) -> None:
    async with container_world(tmp_path / "s", nodes=4) as stack:
        await into_services(stack, engine, tmp_path)
        await upgrade_by_console(stack)
    assert tags(engine) == [NEW] * 4


@pytest.mark.long
async def test_a_version_that_its_own_health_check_finds_bad_is_not_put_back(
    tmp_path: Path, engine: Docker
) -> None:
    """HTTP answers well, and Rolldeck's own look at it too."""
    async with container_world(tmp_path / "s") as stack:
        await into_containers(stack, engine)
        check = (
            f"--health-interval=0.2s --health-retries=1 --health-cmd='/bin/busybox grep {OLD} /www/version'"
        )
        tune(stack, "apps.shop.install", create=creating(engine, check))
        tune(stack, "apps.shop.rollout", start_timeout=4)
        run = await upgrade(stack)
        assert run.code == 1, run.text
        assert "unhealthy by its own health check" in run.text
        admins = {name: state.admin for name, state in (await states(stack))["lb1"].items()}
        assert (admins["web1"] == 0, admins["web2"] == 0) == (False, True)


@pytest.mark.long
async def test_a_version_that_is_killed_for_lack_of_memory(tmp_path: Path, engine: Docker) -> None:
    if not engine.limits_memory():
        pytest.skip("the kernel has no limit of memory for containers")
    async with container_world(tmp_path / "s") as stack:
        await into_containers(stack, engine)
        eats = f"if [ {{version}} = {NEW} ]; then /bin/busybox sleep 0.3; {EATS}; fi"
        shell = f"/bin/busybox sh -c '{eats}; exec {server('{port}')}'"
        create = creating(engine, "--memory=8m").replace(server("{port}"), shell)
        tune(stack, "apps.shop.install", create=create)
        run = await upgrade(stack)
        assert run.code == 1, run.text
        [failed] = [event for event in run.events if event["event"] == "node_failed"]
        assert "exited, exit status 137, killed for lack of memory" in failed["error"]
        assert (await states(stack))["lb1"]["web1"].admin == MAINT


async def test_a_version_that_its_own_health_check_finds_bad_after_its_start_fails_verify(
    tmp_path: Path, engine: Docker
) -> None:
    """HTTP answers well all the time."""
    async with container_world(tmp_path / "s") as stack:
        await into_containers(stack, engine)
        good_looks = "echo >>/looks; test $(/bin/busybox wc -l </looks) -lt 10"
        check = f"--health-interval=0.2s --health-cmd='{good_looks} || ( echo worn out; false )'"
        tune(stack, "apps.shop.install", create=creating(engine, check))
        tune(stack, "apps.shop.rollout", bake_time=30)
        run = await upgrade(stack)
        assert run.code == 1, run.text
        (failed,) = (event for event in run.events if event["event"] == "node_failed")
        assert (failed["node"], failed["step"]) == ("web1", "verify"), failed
        assert "unhealthy by its own health check: worn out" in failed["error"]
        assert (await states(stack))["lb1"]["web1"].admin == MAINT


def creating(engine: Docker, option: str) -> str:
    """The command of the configuration, with one more option."""
    command = creation("{name}", "{image}:{version}", "{port}")
    return f"docker {engine.options} {command}".replace(" create ", f" create {option} ")


@pytest.mark.long
async def test_compose_services_and_back_with_requests_of_two_seconds(tmp_path: Path, engine: Docker) -> None:
    async with container_world(tmp_path / "s") as stack:
        file = await into_services(stack, engine, tmp_path)
        before = file.read_text()
        await upgrade_under_load(stack, slow_share=0.1)
        await rolled_back_under_load(stack)
        assert file.read_text() == before
        assert tags(engine) == [OLD] * 2


@pytest.mark.long
@pytest.mark.parametrize("step", ["drain", "stop", "install", "start", "verify"])
async def test_compose_services_are_resumed_after_a_kill(tmp_path: Path, engine: Docker, step: str) -> None:
    async with container_world(tmp_path / "s") as stack:
        await into_services(stack, engine, tmp_path)
        await resumed_under_load(stack, step)
        assert tags(engine) == [NEW] * 2
