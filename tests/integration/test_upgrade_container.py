"""Containers under load: stopped, replaced from the image with the new tag, started; no request fails."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
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
    service_section,
    verbs,
)
from tests.integration.under_load import resumed_under_load, rolled_back_under_load, upgraded_under_load
from tests.support.rollouts import (
    NEW,
    OLD,
    states,
)
from tests.support.servers.containers import Podman, missing, podman
from tests.support.stacks import kill_application

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())

IMAGE = "localhost/rolldeck-shop"


STEPS = ("drain", "stop", "install", "start", "verify")


@pytest.fixture(scope="module")
def running_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Podman]:
    folder = tmp_path_factory.mktemp("podman")
    with podman(folder) as running:
        for version in (OLD, NEW):
            archive = image_archive(folder / f"{version}.tar", version)
            running.call("import", str(archive), f"{IMAGE}:{version}")
        yield running


@pytest.fixture
def engine(running_engine: Podman) -> Iterator[Podman]:
    yield running_engine
    running_engine.remove_all()


@asynccontextmanager
async def containers(folder: Path, engine: Podman) -> AsyncIterator[Stack]:
    """Two nodes, each a container of the old version."""
    async with container_world(folder / "s") as stack:
        for name, node in stack.nodes.items():
            kill_application(node)
            engine.call(*creation(f"shop-{name}", f"{IMAGE}:{OLD}", str(node.port)).split())
            engine.call("start", f"shop-{name}")
        service = service_section("podman", engine.options)
        await configure(stack, service, install_section("podman", engine.options, IMAGE))
        yield stack


async def assert_all_run(stack: Stack, engine: Podman, version: str) -> None:
    """This version, in rotation, and nothing is left of the containers before."""
    assert {state.admin for state in (await states(stack))["lb1"].values()} == {0}
    for which in ((), ("--all",)):
        rows = engine.call("ps", *which, "--format", "{{.Names}} {{.Image}}").splitlines()
        assert sorted(rows) == [f"shop-{name} {IMAGE}:{version}" for name in stack.nodes]


async def test_the_image_is_replaced_by_its_new_tag(tmp_path: Path, engine: Podman) -> None:
    async with containers(tmp_path, engine) as stack:
        run = await upgraded_under_load(stack, slow_share=0)
        await assert_all_run(stack, engine, NEW)
    assert verbs(run, "podman") == ["stop", "rename", "create", "rm", "start"] * 2


@pytest.mark.long
async def test_two_containers_by_the_console(tmp_path: Path, engine: Podman) -> None:
    async with containers(tmp_path, engine) as stack:
        await upgrade_by_console(stack)
        await assert_all_run(stack, engine, NEW)


@pytest.mark.long
async def test_containers_and_back_with_requests_of_two_seconds(tmp_path: Path, engine: Podman) -> None:
    async with containers(tmp_path, engine) as stack:
        await upgraded_under_load(stack, slow_share=0.1)
        run = await rolled_back_under_load(stack, slow_share=0.1)
        await assert_all_run(stack, engine, OLD)
    assert verbs(run, "podman") == ["stop", "rename", "create", "rm", "start"] * 2


@pytest.mark.long
@pytest.mark.parametrize("step", STEPS)
async def test_containers_are_resumed_after_a_kill(tmp_path: Path, engine: Podman, step: str) -> None:
    async with containers(tmp_path, engine) as stack:
        event = "command_started" if step in ("stop", "install", "start") else "step_started"
        await resumed_under_load(stack, step, event=event)
        await assert_all_run(stack, engine, NEW)
