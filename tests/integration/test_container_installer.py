"""The real Podman, with a storage of its own."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from backends.errors import Refused
from backends.hosts.local import LocalHost
from backends.installers.container import ContainerInstall
from backends.kinds import default_version, make_installer
from backends.node_state import Presence
from backends.protocols import Installer
from orchestrator.planning.findings import Finding, Severity
from tests.integration.ways_back import find_ways_back
from tests.support.servers import containers
from tests.support.servers.tcp_listener import listening

pytestmark = pytest.mark.skipif(bool(containers.missing()), reason=containers.missing())


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[containers.Podman]:
    with containers.podman(tmp_path_factory.mktemp("podman")) as engine:
        engine.build("2")
        yield engine


@pytest.fixture
def shop(engine: containers.Podman) -> Iterator[Installer]:
    options = "--pull=never --network=host --ulimit=nofile=1024:1024 --ulimit=nproc=1000:1000"
    settings = ContainerInstall(
        name="{app}-{node}",
        image=f"localhost/{containers.IMAGE}",
        create=f"podman {engine.options} create --name {{name}} {options} {{image}}:{{version}} sh",
        engine="podman",
        engine_options=engine.options,
        pull=False,
    )
    version = default_version(settings)
    assert version is not None
    host, values = LocalHost("web1"), {"app": "shop", "node": "web1"}
    yield make_installer(settings, version, host=host, console=host, values=values)
    engine.remove_all()


def names(engine: containers.Podman) -> list[str]:
    return sorted(engine.call("ps", "--all", "--format", "{{.Names}}").split())


async def test_from_nothing_up_and_down_again(shop: Installer, engine: containers.Podman) -> None:
    assert await shop.installed() is None
    for version in ("1", "2", "1"):
        await shop.install(version)
        assert await shop.installed() == version
        assert names(engine) == ["shop-web1"]


async def test_a_missing_image_leaves_the_old_container(shop: Installer, engine: containers.Podman) -> None:
    await shop.install("1")
    with pytest.raises(Refused, match=r"install 1\.9: exit status 125"):
        await shop.install("1.9")
    assert await shop.installed() == "1"
    assert names(engine) == ["shop-web1"]


async def test_it_goes_on_after_an_interruption(shop: Installer, engine: containers.Podman) -> None:
    await shop.install("1")
    engine.call("rename", "shop-web1", "shop-web1-previous")
    assert await shop.installed() is None
    await shop.install("2")
    assert await shop.installed() == "2"
    assert names(engine) == ["shop-web1"]


async def test_images_that_were_built_here(shop: Installer) -> None:
    assert (await shop.check_availability("1")).presence is Presence.THERE
    found = await shop.check_availability("1.9")
    assert (found.presence, set(found.others)) == (Presence.NOT_THERE, {"1", "2"})
    assert set(await shop.versions() or ()) == {"1", "2"}


async def test_the_way_back_is_there_as_long_as_its_image_is(
    shop: Installer, engine: containers.Podman
) -> None:
    await shop.install("2")
    assert await find_ways_back(shop, "1") == []
    image = f"localhost/{containers.IMAGE}:2"
    engine.call("untag", image, image)  # of the one name alone
    try:
        text = "a rollback to 2 would fail: the node has no such image; there is 1"
        assert await find_ways_back(shop, "1") == [Finding(Severity.WARNING, "web1", text)]
    finally:
        engine.build("2")


async def test_an_image_of_a_registry(engine: containers.Podman) -> None:
    """What the registry says of a tag that it does not have is the only reason to refuse."""
    async with registry() as port:
        for name, presence in (("shop", Presence.NOT_THERE), ("secret", Presence.NOT_KNOWN)):
            found = await of_registry(engine, port, name).check_availability("1.9")
            assert found.presence is presence, found
        assert await of_registry(engine, port, "shop").versions() == ("1.9", "1.8")
        assert await of_registry(engine, port, "secret").versions() == ()
    found = await of_registry(engine, port, "shop").check_availability("1.9")  # nobody answers any more
    assert found.presence is Presence.NOT_KNOWN, found


def of_registry(engine: containers.Podman, port: int, name: str) -> Installer:
    settings = ContainerInstall(
        name="shop",
        image=f"127.0.0.1:{port}/{name}",
        create="false",
        engine="podman",
        engine_options=engine.options,
    )
    version = default_version(settings)
    assert version is not None
    conf = engine.folder / "registries.conf"
    conf.write_text(f'[[registry]]\nlocation = "127.0.0.1:{port}"\ninsecure = true\n')
    host = LocalHost("web1", prefix=f"env CONTAINERS_REGISTRIES_CONF={conf}")
    return make_installer(settings, version, host=host, console=host, values={})


@asynccontextmanager
async def registry() -> AsyncIterator[int]:
    """One that has no image: it knows of "shop" that there is none, and wants a password for all others."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
        code = "MANIFEST_UNKNOWN" if "/shop/" in path else "UNAUTHORIZED"
        status = "404 Not Found" if "/shop/" in path else "401 Unauthorized"
        body = json.dumps({"errors": [{"code": code, "message": code.lower().replace("_", " ")}]})
        if path == "/v2/":
            status, body = "200 OK", "{}"
        if path.startswith("/v2/shop/tags/list"):
            status, body = "200 OK", json.dumps({"name": "shop", "tags": ["1.8", "1.9"]})
        head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        writer.write(f"{head}Connection: close\r\n\r\n{body}".encode())
        await writer.drain()
        writer.close()

    async with listening(answer) as port:
        yield port
