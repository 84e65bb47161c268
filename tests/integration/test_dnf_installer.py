"""The real dnf and rpm, with a repository and a root directory of their own."""

import fcntl
import os
from pathlib import Path
from typing import Any

import pytest

from backends.errors import Refused, UnknownOutcome, UnreadableReply
from backends.hosts.local import LocalHost
from backends.installers.packages import DnfInstall
from backends.kinds import default_version, make_installer
from backends.node_state import Presence
from backends.protocols import Installer
from orchestrator.planning.findings import Severity
from tests.integration.ways_back import find_ways_back
from tests.support.servers.rpm_repository import RpmRepository, missing

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> RpmRepository:
    repository = RpmRepository(tmp_path_factory.mktemp("rpm"))
    for version, release in (("1.4.2", "1"), ("1.5.0", "1"), ("1.5.0", "2")):
        repository.publish(version, release)
    return repository


@pytest.fixture
def repository(built: RpmRepository, tmp_path: Path) -> RpmRepository:
    """One that a test may change."""
    here = tmp_path / "r"
    built.call("cp", "-r", str(built.here), str(here))
    text = (here / "dnf.conf").read_text()
    (here / "dnf.conf").write_text(text.replace(str(built.here), str(here)))
    return RpmRepository(here)


def dnf(repository: RpmRepository, more: str = "", *, timeout: float = 60.0, **settings: Any) -> Installer:
    """The installer, with rpm's own look at the same root directory."""
    root = repository.here / "root"
    # rpm has no such option where the version is read: its database is where HOME says.
    (root / "rpm").mkdir(parents=True, exist_ok=True)
    host = LocalHost("web1", prefix=f"env HOME={repository.here}")
    own = repository.here / ".rpmdb"
    if not own.is_symlink():
        own.symlink_to(f"root{repository.here}/.rpmdb")
    install = DnfInstall(package="shop", options=f"{repository.options(root)} {more}", **settings)
    version = default_version(install)
    assert version is not None
    return make_installer(install, version, host=host, console=host, values={}, timeout=timeout)


async def test_up_and_down_again_and_what_is_known_before(repository: RpmRepository) -> None:
    node = dnf(repository)
    assert await node.installed() is None
    unknown = await node.check_availability("1.5.0")
    assert unknown.presence is Presence.NOT_KNOWN, "nothing has been fetched yet"
    assert "no cache for 'shop'" in unknown.detail
    with pytest.raises(UnreadableReply, match="no cache for 'shop'"):
        await node.versions()
    await node.prefetch("1.4.2")
    assert await node.installed() is None
    for version in ("1.4.2", "1.5.0", "1.4.2"):
        await node.install(version)
        assert await node.installed() == version
        assert (repository.here / "root" / "current").readlink() == Path("releases", version)
    assert (await node.check_availability("1.5.0")).presence is Presence.THERE
    assert await node.versions() == ("1.5.0", "1.4.2")
    missing = await node.check_availability("1.6.0")
    assert (missing.presence, missing.others) == (Presence.NOT_KNOWN, ("1.5.0", "1.4.2"))
    assert "dnf looks again before the first node is taken out" in missing.detail
    with pytest.raises(Refused, match=r"prefetch 9\.9: exit status 1: .*Unable to find a match: shop-9\.9"):
        await node.prefetch("9.9")
    excluded = dnf(repository, "--setopt=excludepkgs=shop")
    with pytest.raises(Refused, match="filtered out by exclude filtering"):
        await excluded.prefetch("1.5.0")
    assert await node.installed() == "1.4.2"


async def test_the_way_back_is_there_as_long_as_its_package_is(repository: RpmRepository) -> None:
    node = dnf(repository)
    await node.install("1.4.2")
    assert await find_ways_back(node, "1.5.0") == []
    repository.remove("1.4.2")
    await node.prefetch("1.5.0")
    [found] = await find_ways_back(node, "1.5.0")
    assert found.severity is Severity.WARNING
    missing = "what dnf has fetched of the repositories has no shop of this version"
    assert found.text.startswith(f"a rollback to 1.4.2 may fail: {missing}")
    assert "; dnf fetched that at 20" in found.text
    assert found.text.endswith("; there is 1.5.0")


async def test_a_version_published_after_dnf_has_looked_is_found(repository: RpmRepository) -> None:
    """dnf takes what it has fetched for two days, and says that there is no newer one."""
    node = dnf(repository)
    await node.prefetch("1.4.2")
    repository.publish("2.0.0", epoch=1)
    with pytest.raises(Refused, match="Unable to find a match"):
        await dnf(repository, update=False).prefetch("2.0.0")
    await node.prefetch("2.0.0")
    await node.install("2.0.0")
    assert await node.installed() == "2.0.0", "an epoch is neither asked for nor read back"
    await node.install("1.4.2")
    assert await node.installed() == "1.4.2"


async def test_a_release_is_exact(repository: RpmRepository) -> None:
    node = dnf(repository, release=True)
    for version in ("1.5.0-1", "1.5.0-2", "1.5.0-1"):
        await node.install(version)
        assert await node.installed() == version
    found = await node.check_availability("1.5.0-3")
    assert found.others == ("1.5.0-2", "1.5.0-1", "1.4.2-1")


async def test_a_broken_repository_shows_before_anything_is_touched(repository: RpmRepository) -> None:
    node = dnf(repository)
    await node.install("1.4.2")
    repository.metadata.rename(repository.here / "gone")
    with pytest.raises(Refused, match="Failed to download metadata for repo 'shop'"):
        await node.prefetch("1.5.0")
    assert await node.installed() == "1.4.2"


async def test_locks_of_somebody_else(repository: RpmRepository) -> None:
    node = dnf(repository)
    await node.install("1.4.2")
    lock = next((repository.here / "root").rglob(".rpm.lock"))
    with lock.open("r+") as held:
        fcntl.lockf(held, fcntl.LOCK_EX)
        with pytest.raises(Refused, match=r"can't create transaction lock on .*\.rpm\.lock"):
            await node.install("1.5.0")
    lock = next((repository.here / "root").rglob("cache")) / "metadata_lock.pid"
    lock.write_text(str(os.getpid()))
    words = f"Waiting for process with pid {os.getpid()} to finish"
    with pytest.raises(UnknownOutcome, match=rf"no end within 2 s; .*its last line: {words}"):
        await dnf(repository, timeout=2).prefetch("1.5.0")
    lock.unlink()
    assert await node.installed() == "1.4.2"
