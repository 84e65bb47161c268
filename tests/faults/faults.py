"""The faults: how each is injected, and how it is undone."""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from console.demo.node import FAULTY, Release
from tests.faults.scene import INSTALL, Scene
from tests.support.disks import fill, small_disk
from tests.support.processes import freeze, thaw
from tests.support.rollouts import NEW, OLD, Running, say, tune
from tests.support.servers.sshd import Sshd
from tests.support.stacks import kill_application, reload_haproxy, restart_haproxy


def web1(scene: Scene) -> Sshd:
    return scene.sshds["web1"]


# -- the tool -------------------------------------------------------------------------------------


async def sigkill(_: Scene, running: Running) -> None:
    running.process.kill()


async def sigterm(_: Scene, running: Running) -> None:
    running.signal(signal.SIGTERM)


async def long_bake(scene: Scene) -> None:
    tune(scene.stack, "apps.shop.rollout", bake_time=3)


async def sigkill_in_the_bake(_: Scene, running: Running) -> None:
    """In rotation by then, and not proven under traffic."""
    await running.event("waiting", node="web1", step="verify", reason="baking")
    running.process.kill()


async def fill_the_disk(scene: Scene, _: Running) -> None:
    fill(scene.disk)


async def free_the_disk(scene: Scene) -> None:
    (scene.disk / "others").unlink()


# -- SSH ------------------------------------------------------------------------------------------


async def cut(scene: Scene, _: Running) -> None:
    web1(scene).kill_sessions()


async def hang(scene: Scene, _: Running) -> None:
    web1(scene).stop()


async def go_on(scene: Scene) -> None:
    web1(scene).cont()


async def hang_web2(scene: Scene, _: Running) -> None:
    """It is healthy and has its turn next."""
    scene.sshds["web2"].stop()


async def web2_goes_on(scene: Scene) -> None:
    scene.sshds["web2"].cont()


async def refuse(scene: Scene, _: Running) -> None:
    web1(scene).shut_down()


async def listen_again(scene: Scene) -> None:
    web1(scene).start()


async def change_key(scene: Scene, _: Running) -> None:
    web1(scene).change_host_key()


async def know_the_key(scene: Scene) -> None:
    """What an operator does who has checked it."""
    file = scene.stack.directory / "known_hosts"
    own = f"[127.0.0.1]:{web1(scene).port} "
    others = [line for line in file.read_text().splitlines() if not line.startswith(own)]
    public = web1(scene).host_key.with_suffix(".pub").read_text().strip()
    file.write_text("\n".join([*others, own + public]) + "\n")


# -- nodes and versions -----------------------------------------------------------------------------


async def node_down(scene: Scene, _: Running) -> None:
    web1(scene).shut_down()
    kill_application(scene.stack.nodes["web1"])


async def node_up(scene: Scene) -> None:
    """It starts what it has, as after a reboot."""
    web1(scene).start()
    await scene.stack.nodes["web1"].appctl("start")


def bad_version(**fields: object) -> Callable[[Scene], Awaitable[None]]:
    async def prepare(scene: Scene) -> None:
        scene.stack.add_release(NEW, **fields)

    return prepare


async def no_release(scene: Scene) -> None:
    """Its command for installing can tell."""
    tune(scene.stack, "apps.shop.install", exists="test -d releases/{version}")
    for node in scene.stack.nodes.values():
        (node.directory / "releases" / NEW).rename(node.directory / "not yet")


async def release_again(scene: Scene) -> None:
    for node in scene.stack.nodes.values():
        (node.directory / "not yet").rename(node.directory / "releases" / NEW)


async def no_start_program(scene: Scene) -> None:
    tune(scene.stack, "apps.shop.service", start="./appclt start")


async def start_program_again(scene: Scene) -> None:
    tune(scene.stack, "apps.shop.service", start="./appctl start")


async def dies_unproven(scene: Scene) -> None:
    """Seen alive by the start step, dead before it could be proven."""
    tune(scene.stack, "apps.shop.rollout", min_healthy=1, verify_timeout=8)
    scene.stack.add_release(NEW, exit_after=0.4)


async def dies_before_it_listens(scene: Scene) -> None:
    dying = "import time\ntime.sleep(0.3)\nraise SystemExit(1)\n"
    for node in scene.stack.nodes.values():
        (node.directory / "releases" / NEW / "app.py").write_text(dying)


async def dies_after_two_seconds(scene: Scene) -> None:
    """Healthy in more looks than are needed, and not for `min_healthy`."""
    tune(scene.stack, "apps.shop.rollout", min_healthy=3, verify_timeout=20)
    scene.stack.add_release(NEW, exit_after=2.0)


def faulty_version(version: str, **rollout: object) -> Callable[[Scene], Awaitable[None]]:
    """The new version has the fault of one of the demo's."""

    async def prepare(scene: Scene) -> None:
        tune(scene.stack, "apps.shop.rollout", **rollout)
        [fields] = [faulty.fields for faulty in FAULTY if faulty.version == version]
        scene.stack.add_release(NEW, **fields)

    return prepare


async def dies_while_it_bakes(scene: Scene) -> None:
    """Proven and in rotation by then."""
    tune(scene.stack, "apps.shop.rollout", bake_time=4)
    scene.stack.add_release(NEW, exit_after=1.5)


async def ignores_sigterm(scene: Scene) -> None:
    """The old version on web1 does."""
    node = scene.stack.nodes["web1"]
    node.add_release(Release(version=OLD, start_delay=0.0, ignore_sigterm=True))
    await scene.service.restart(node)
    await asyncio.sleep(0.5)  # until HAProxy has seen that it was away
    await scene.stack.wait_until_up()


async def kill_the_old(scene: Scene) -> None:
    """What an operator does then."""
    kill_application(scene.stack.nodes["web1"])


def installer(run: str) -> Callable[[Scene], Awaitable[None]]:
    async def prepare(scene: Scene) -> None:
        scene.install(run)

    return prepare


async def good_installer(scene: Scene) -> None:
    scene.install(INSTALL)


# -- HAProxy ----------------------------------------------------------------------------------------


async def reload(scene: Scene, _: Running) -> None:
    await reload_haproxy(scene.stack.instances["lb1"])


async def restart(scene: Scene, _: Running) -> None:
    await restart_haproxy(scene.stack.instances["lb1"])


async def freeze_lb1(scene: Scene, _: Running) -> None:
    freeze(scene.stack.instances["lb1"].pid)


async def thaw_lb1(scene: Scene) -> None:
    thaw(scene.stack.instances["lb1"].pid)


async def take_socket(scene: Scene, _: Running) -> None:
    place = scene.stack.instances["lb1"].socket
    place.rename(place.with_suffix(".gone"))


async def give_socket(scene: Scene) -> None:
    place = scene.stack.instances["lb1"].socket
    place.with_suffix(".gone").rename(place)


async def lower(scene: Scene, _: Running) -> None:
    instance = scene.stack.instances["lb1"]
    text = instance.file.read_text()
    instance.file.write_text(text.replace("mode 600 level admin", "mode 600 level operator", 1))
    await reload_haproxy(instance)


async def raise_again(scene: Scene) -> None:
    instance = scene.stack.instances["lb1"]
    text = instance.file.read_text()
    instance.file.write_text(text.replace("mode 600 level operator", "mode 600 level admin", 1))
    await reload_haproxy(instance)


async def maint_web2(scene: Scene, _: Running) -> None:
    """As another operator does: on every load balancer."""
    await say(scene.stack, "set server shop/web2 state maint")


async def ready_web2(scene: Scene) -> None:
    await say(scene.stack, "set server shop/web2 state ready")


# -- sessions, disks and clocks ---------------------------------------------------------------------


@asynccontextmanager
async def endless_sessions(scene: Scene) -> AsyncIterator[None]:
    """A download from each node, longer than every patience here: round robin gives one to each."""
    for _ in scene.stack.nodes:
        client = socket.create_connection(scene.stack.frontends[0])
        client.sendall(b"GET /download?seconds=40 HTTP/1.1\r\nHost: x\r\n\r\n")
        scene.held.append(client)
        await asyncio.sleep(0.1)
    try:
        yield
    finally:
        await let_go(scene)


async def let_go(scene: Scene) -> None:
    while scene.held:
        scene.held.pop().close()  # with what it has not read: that is a reset
    await asyncio.sleep(9)  # a piece is sent every four seconds; the application sees it at the second one


@asynccontextmanager
async def small_journal_disk(scene: Scene) -> AsyncIterator[None]:
    with small_disk(scene.disk, 4096):
        yield


@asynccontextmanager
async def small_package_disk(scene: Scene) -> AsyncIterator[None]:
    with small_disk(scene.stack.nodes["web1"].directory / "space", 64):
        yield


@asynccontextmanager
async def own_clock(scene: Scene) -> AsyncIterator[None]:
    """For every `rolldeck` that is started meanwhile: see `tests/faults/clock/sitecustomize.py`."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = str(Path(__file__).parent / "clock")
    os.environ["ROLLDECK_TEST_CLOCK"] = str(scene.stack.directory / "clock")
    try:
        yield
    finally:
        del os.environ["ROLLDECK_TEST_CLOCK"], os.environ["PYTHONPATH"]
        if before is not None:
            os.environ["PYTHONPATH"] = before


def set_clock(seconds: int) -> Callable[[Scene, Running], Awaitable[None]]:
    async def strike(scene: Scene, _: Running) -> None:
        (scene.stack.directory / "clock").write_text(str(seconds))

    return strike


async def end_the_installer(scene: Scene) -> None:
    """What an operator does with one that hangs; the next one is good."""
    for pid in _processes_in(scene.stack.nodes["web1"].directory, b"sleep\x00600\x00"):
        os.kill(pid, signal.SIGKILL)
    await good_installer(scene)


def _processes_in(directory: Path, command: bytes) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if (entry / "cwd").readlink() == directory and (entry / "cmdline").read_bytes() == command:
                found.append(int(entry.name))
    return found
