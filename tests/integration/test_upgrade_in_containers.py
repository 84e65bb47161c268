"""Programs of a supervisord that is the first process of a container, with `docker exec` as a prefix."""

import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from console.demo.stack import Stack
from tests.integration.managed_nodes import PROGRAM, PYTHON, configure, log_of_a_version_that_dies
from tests.integration.under_load import resumed_under_load, rolled_back_under_load
from tests.support.rollouts import NEW, OLD, states, tune, upgrade, versions, world
from tests.support.servers import docker_engine
from tests.support.servers.docker_engine import LIMITS, Docker
from tests.support.servers.supervisor import CONFIGURATION, SUPERVISORD, needs_supervisor
from tests.support.stacks import kill_application

MISSING = docker_engine.missing()
pytestmark = [
    pytest.mark.long,
    needs_supervisor,
    pytest.mark.skipif(bool(MISSING), reason=MISSING),
]

IMAGE = "127.0.0.1:1/rolldeck-machine"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Docker]:
    """With an image of links alone: what they lead to are this machine's programs, below a mounted `/usr`."""
    archive = tmp_path_factory.mktemp("image") / "image.tar"
    with tarfile.open(archive, "w") as tar:
        for name in ("bin", "sbin", "lib", "lib64"):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, f"usr/{name}"
            tar.addfile(link)
    with docker_engine.docker() as running:
        running.call("import", str(archive), f"{IMAGE}:1")
        yield running


@pytest.fixture(autouse=True)
def clean(engine: Docker) -> Iterator[None]:
    yield
    engine.remove_all()


def into_containers(stack: Stack, engine: Docker) -> None:
    """One container for each node; of the stack's files it sees those of its node alone."""
    text = stack.config_path.read_text()
    for name, node in stack.nodes.items():
        kill_application(node)
        folder = node.directory
        program = PROGRAM.format(name=name, port=node.port, python=PYTHON, directory=stack.directory)
        control = folder / "supervisord.conf"
        control.write_text(CONFIGURATION.format(folder=folder, programs=program))
        volumes = ("/usr:/usr:ro", f"{folder}:{folder}", f"{control}:/etc/supervisord.conf:ro")
        options = ("--name", name, *LIMITS, *(f"--volume={volume}" for volume in volumes))
        engine.call("run", "--detach", *options, f"{IMAGE}:1", str(SUPERVISORD), "-n")
        prefix = f"docker {engine.options} exec -i {name}"
        text = text.replace(f'ssh = "{name}"', f'ssh = "{name}", prefix = "{prefix}"')
    stack.config_path.write_text(text)
    configure(stack, "supervisor", "shop-{node}")


async def test_programs_in_containers(tmp_path: Path, engine: Docker) -> None:
    async with world(tmp_path / "s", nodes=2, instances=1, port_check_from="node", transport="ssh") as stack:
        into_containers(stack, engine)
        await stack.wait_until_up()
        await resumed_under_load(stack, "install", event="command_started")
        assert await versions(stack) == dict.fromkeys(stack.nodes, NEW)
        await rolled_back_under_load(stack)
        assert await versions(stack) == dict.fromkeys(stack.nodes, OLD)
        assert {state.admin for state in (await states(stack))["lb1"].values()} == {0}

        assert "cannot read the configuration" in await log_of_a_version_that_dies(stack)


async def test_a_manager_in_a_container_without_a_prefix_is_found_before_a_drain(
    tmp_path: Path, engine: Docker
) -> None:
    """The numbers of its processes are threads of the kernel outside, which would never end."""
    async with world(tmp_path / "s", nodes=1, instances=1, port_check_from="node", transport="ssh") as stack:
        into_containers(stack, engine)
        prefix = f"docker {engine.options} exec -i web1"
        text = stack.config_path.read_text()
        stack.config_path.write_text(text.replace(f', prefix = "{prefix}"', ""))
        tune(stack, "apps.shop.service", command=f"{prefix} supervisorctl")
        tune(stack, "apps.shop.rollout", min_available=0)
        await stack.wait_until_up()
        run = await upgrade(stack)
        assert run.code == 3, run.text
        assert "let all commands run there by `prefix`" in run.err
        assert (await states(stack))["lb1"]["web1"].admin == 0
