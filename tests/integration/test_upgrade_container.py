"""Containers under load: stopped, replaced from the image with the new tag, started; no request fails."""

import io
import json
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from console.demo.load import Load
from console.demo.stack import Stack
from tests.containers import Podman, missing, podman
from tests.integration.rollouts import (
    NEW,
    OLD,
    Run,
    assert_nothing_failed,
    states,
    until_up,
    upgrade,
    world,
)

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())

IMAGE = "localhost/rolldeck-shop"
PAGES = {"index.html": "hello", "health": '{"status": "UP"}'}
SECTIONS = """\
[apps.shop.service]
kind = "container"
name = "shop-{{node}}"
engine = "podman"
engine_options = {options}

[apps.shop.install]
kind = "container"
name = "shop-{{node}}"
image = "{image}"
engine = "podman"
engine_options = {options}
pull = false
create = {create}

[apps.shop.health]
kind = "http"
url = "http://{{address}}:{{port}}/health"
json = {{ status = "UP" }}
version_url = "http://{{address}}:{{port}}/version"
successes = 2
interval = 0.05

"""


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Podman]:
    with podman(tmp_path) as running:
        for version in (OLD, NEW):
            archive = image_archive(tmp_path / f"{version}.tar", version)
            running.call("import", str(archive), f"{IMAGE}:{version}")
        yield running


def image_archive(file: Path, version: str) -> Path:
    """A web server of a megabyte that knows its version, out of busybox alone."""
    with tarfile.open(file, "w") as tar:
        tar.add(str(shutil.which("busybox")), "bin/busybox")
        for name, content in {**PAGES, "version": version}.items():
            entry = tarfile.TarInfo(f"www/{name}")
            entry.size, entry.mode = len(content), 0o644
            tar.addfile(entry, io.BytesIO(content.encode()))
    return file


def creation(name: str, image: str, port: str) -> str:
    """What follows `podman`, for one container."""
    # As the container's first process it would not hear SIGTERM; drained, it may end by SIGKILL.
    limits = "--ulimit=nofile=1024:1024 --ulimit=nproc=1000:1000"
    server = f"/bin/busybox httpd -f -p 127.0.0.1:{port} -h /www"
    return f"create --name {name} --network=host --stop-signal=KILL {limits} {image} {server}"


async def into_containers(stack: Stack, engine: Podman) -> None:
    """Replace the processes of the stack's nodes by containers on the same ports."""
    for name, node in stack.nodes.items():
        node.kill()
        engine.call(*creation(f"shop-{name}", f"{IMAGE}:{OLD}", str(node.port)).split())
        engine.call("start", f"shop-{name}")
    text = stack.config_path.read_text().replace('via = "ssh"', 'via = "local"')
    head, _, rest = text.partition("[apps.shop.service]\n")
    sections = SECTIONS.format(
        options=json.dumps(engine.options),
        image=IMAGE,
        create=json.dumps(f"podman {engine.options} " + creation("{name}", "{image}:{version}", "{port}")),
    )
    stack.config_path.write_text(head + sections + rest[rest.index("[apps.shop.rollout]\n") :])
    await until_up(stack, "shop")


async def test_the_image_is_replaced_by_its_new_tag(tmp_path: Path, engine: Podman) -> None:
    async with world(tmp_path / "s", nodes=2, instances=1) as stack:
        await into_containers(stack, engine)
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
    assert verbs(run) == ["stop", "rename", "create", "rm", "start"] * 2


def verbs(run: Run) -> list[str]:
    known = {"stop", "rename", "create", "rm", "start"}
    commands = [command.split() for _, command in run.sent if "podman" in command]
    found = [next((word for word in words if word in known), "") for words in commands]
    return [each for each in found if each]
