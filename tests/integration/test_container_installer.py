"""The real Podman, with a storage of its own."""

from collections.abc import Iterator

import pytest

from backends.base import Installer
from backends.errors import Refused
from backends.hosts.local import LocalHost
from backends.installers.container import ContainerInstall
from backends.installers.kinds import default_version, make_installer
from tests import containers

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
