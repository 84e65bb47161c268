"""Containers under load: stopped, replaced from the image with the new tag, started; no request fails."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from console.demo.load import Load
from tests.containers import Podman, missing, podman
from tests.integration.container_nodes import (
    configure,
    creation,
    image_archive,
    install_section,
    service_section,
    verbs,
)
from tests.integration.rollouts import NEW, OLD, assert_nothing_failed, states, upgrade, world

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())

IMAGE = "localhost/rolldeck-shop"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Podman]:
    with podman(tmp_path) as running:
        for version in (OLD, NEW):
            archive = image_archive(tmp_path / f"{version}.tar", version)
            running.call("import", str(archive), f"{IMAGE}:{version}")
        yield running


async def test_the_image_is_replaced_by_its_new_tag(tmp_path: Path, engine: Podman) -> None:
    async with world(tmp_path / "s", nodes=2, instances=1) as stack:
        for name, node in stack.nodes.items():
            node.kill()
            engine.call(*creation(f"shop-{name}", f"{IMAGE}:{OLD}", str(node.port)).split())
            engine.call("start", f"shop-{name}")
        service = service_section("podman", engine.options)
        await configure(stack, service, install_section("podman", engine.options, IMAGE))
        async with Load(100, stack.frontends, slow_share=0) as load:
            run = await upgrade(stack)
            report = await load.stop()
        assert run.code == 0, run.text
        assert_nothing_failed(report, at_least=100)
        assert {each.admin for each in (await states(stack))["lb1"].values()} == {0}
    for name in stack.nodes:
        assert (
            engine.call("inspect", "--format", "{{.ImageName}}", f"shop-{name}").strip() == f"{IMAGE}:{NEW}"
        )
    assert "shop-web1-previous" not in engine.call("ps", "--all", "--format", "{{.Names}}")
    assert verbs(run, "podman") == ["stop", "rename", "create", "rm", "start"] * 2
