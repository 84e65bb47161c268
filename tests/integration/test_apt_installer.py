"""The real apt and dpkg, with a repository, a database and a root directory of their own."""

import fcntl
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from backends.errors import Refused
from backends.hosts.local import LocalHost
from backends.installers.packages import AptInstall
from backends.kinds import default_version, make_installer
from backends.node_state import Presence
from backends.protocols import Installer
from orchestrator.planning.findings import Severity
from tests.integration.ways_back import find_ways_back
from tests.support.servers.deb_repository import DebRepository, call_there, missing

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())

POSTINST = """#!/bin/sh
echo "cannot migrate the database" >&2
exit 3
"""


@pytest.fixture
def repository(tmp_path: Path) -> DebRepository:
    found = DebRepository(tmp_path)
    found.publish("1.4.2")
    return found


@pytest.fixture
def prefix(repository: DebRepository, tmp_path: Path) -> str:
    return repository.prepare(tmp_path / "root")


@pytest.fixture
def apt(prefix: str) -> Installer:
    return make_apt(prefix)


def make_apt(prefix: str, *, update: bool = True, lock_timeout: int = 10) -> Installer:
    host = LocalHost("web1", prefix=prefix)
    settings = AptInstall(package="shop", lock_timeout=lock_timeout, update=update)
    version = default_version(settings)
    assert version is not None
    return make_installer(settings, version, host=host, console=host, values={})


async def test_up_and_down_again(apt: Installer, repository: DebRepository, tmp_path: Path) -> None:
    assert await apt.installed() is None
    await apt.prefetch("1.4.2")
    assert await apt.installed() is None
    await apt.install("1.4.2")
    assert await apt.installed() == "1.4.2"
    repository.publish("1.5.0~rc1+b1")
    await apt.prefetch("1.5.0~rc1+b1")
    assert await apt.installed() == "1.4.2"
    await apt.install("1.5.0~rc1+b1")
    assert await apt.installed() == "1.5.0~rc1+b1"
    assert (tmp_path / "root" / "current").readlink() == Path("releases", "1.5.0~rc1+b1")
    await apt.install("1.4.2")
    assert await apt.installed() == "1.4.2"


async def test_a_version_that_is_nowhere(apt: Installer) -> None:
    with pytest.raises(Refused, match=r"prefetch 9\.9: exit status 100: .*Version '9\.9' for 'shop'"):
        await apt.prefetch("9.9")
    assert await apt.installed() is None


async def test_what_the_package_lists_have_is_known_before(
    apt: Installer, repository: DebRepository, prefix: str
) -> None:
    repository.publish("1.5.0~rc1")
    await apt.prefetch("1.4.2")
    assert (await apt.check_availability("1.4.2")).presence is Presence.THERE
    assert await apt.versions() == ("1.5.0~rc1", "1.4.2")
    missing = await apt.check_availability("1.4.3")
    assert (missing.presence, missing.others) == (Presence.NOT_KNOWN, ("1.5.0~rc1", "1.4.2"))
    assert "are updated before the first node is drained" in missing.detail
    found = await make_apt(prefix, update=False).check_availability("1.4.3")
    assert (found.presence, found.others) == (Presence.NOT_THERE, ("1.5.0~rc1", "1.4.2"))
    missing_there, _, changed = found.detail.partition("; apt last changed the lists at ")
    assert missing_there == "the package lists have no shop of this version"
    lists = (repository.here / "root/apt/state/lists").stat().st_mtime
    assert changed == f"{datetime.fromtimestamp(lists, UTC):%Y-%m-%d %H:%M} UTC"


async def test_the_way_back_is_there_as_long_as_its_package_is(
    apt: Installer, repository: DebRepository, prefix: str
) -> None:
    await apt.prefetch("1.4.2")
    await apt.install("1.4.2")
    repository.publish("1.5.0")
    await apt.prefetch("1.5.0")
    assert await find_ways_back(apt, "1.5.0") == []
    repository.remove("1.4.2")
    await apt.prefetch("1.5.0")
    missing = "the package lists have no shop of this version"
    as_they_are = make_apt(prefix, update=False)
    for installer, verb, now in ((as_they_are, "would", ""), (apt, "may", " now")):
        [found] = await find_ways_back(installer, "1.5.0")
        assert found.severity is Severity.WARNING
        assert found.text.startswith(f"a rollback to 1.4.2 {verb} fail: {missing}{now}")
        assert "; apt last changed the lists at 20" in found.text
        assert found.text.endswith("; there is 1.5.0")


async def test_a_hold_is_respected(apt: Installer, repository: DebRepository, prefix: str) -> None:
    await apt.prefetch("1.4.2")
    await apt.install("1.4.2")
    repository.publish("1.5.0")
    call_there(prefix, "apt-mark", "hold", "shop")
    assert await apt.installed() == "1.4.2"
    found = await apt.check_availability("1.5.0")
    assert found.presence is Presence.NOT_THERE
    assert found.detail == "shop is held; `apt-mark unhold shop` on the node ends the hold"
    with pytest.raises(Refused, match="Held packages were changed and -y was used"):
        await apt.prefetch("1.5.0")
    call_there(prefix, "apt-mark", "unhold", "shop")
    assert (await apt.check_availability("1.5.0")).presence is Presence.THERE


async def test_other_packages_are_not_removed(
    apt: Installer, repository: DebRepository, prefix: str, tmp_path: Path
) -> None:
    """With `-y` alone apt removes what the new version conflicts with, and no way back brings it again."""
    with (tmp_path / "root/var/lib/dpkg/status").open("a") as status:
        status.write("Package: agent\nStatus: install ok installed\nArchitecture: all\nVersion: 7\n\n")
    (tmp_path / "root/var/lib/dpkg/info/agent.list").write_text("/.\n")
    repository.publish("1.5.0", conflicts="agent")
    await apt.prefetch("1.4.2")
    await apt.install("1.4.2")
    with pytest.raises(Refused, match=r"prefetch 1\.5\.0: .*Packages need to be removed but.*agent"):
        await apt.prefetch("1.5.0")
    settings = AptInstall(package="shop", options="-o APT::Get::Remove=true")
    host, version = LocalHost("web1", prefix=prefix), default_version(settings)
    assert version is not None
    wanted = make_installer(settings, version, host=host, console=host, values={})
    await wanted.prefetch("1.5.0")
    await wanted.install("1.5.0")
    assert await apt.installed() == "1.5.0"


async def test_who_holds_a_lock_is_said(apt: Installer, prefix: str, tmp_path: Path) -> None:
    await apt.prefetch("1.4.2")
    hurried = make_apt(prefix, lock_timeout=1)
    with (tmp_path / "root/var/lib/dpkg/lock-frontend").open("w") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        words = rf"Unable to acquire the dpkg frontend lock .*held by process {os.getpid()} \("
        with pytest.raises(Refused, match=words):
            await hurried.install("1.4.2")
    await hurried.install("1.4.2")
    assert await apt.installed() == "1.4.2"


async def test_a_broken_repository_shows_before_anything_is_touched(
    apt: Installer, repository: DebRepository, tmp_path: Path
) -> None:
    repository.packages.rename(tmp_path / "Packages")
    with pytest.raises(Refused, match=r"prefetch 1\.4\.2: .*Failed to fetch copy:"):
        await apt.prefetch("1.4.2")
    (tmp_path / "Packages").rename(repository.packages)
    await apt.prefetch("1.4.2")
    (tmp_path / "root/var/lib/dpkg/updates/0001").touch()
    with pytest.raises(Refused, match=r"prefetch 1\.4\.2: .*dpkg was interrupted"):
        await apt.prefetch("1.4.2")
    assert await apt.installed() is None


async def test_a_package_whose_script_fails_and_its_repair(
    apt: Installer, repository: DebRepository, tmp_path: Path
) -> None:
    """Half of a package is none: installing the earlier one again repairs it."""
    shell = shutil.which("busybox")
    if shell is None:
        pytest.skip("needs busybox, which the script is run by")
    (tmp_path / "root/bin").mkdir()
    shutil.copy(shell, tmp_path / "root/bin/sh")
    repository.publish("1.6.0", POSTINST)
    await apt.prefetch("1.4.2")
    await apt.install("1.4.2")
    with pytest.raises(Refused, match=r"returned an error code \(1\).*cannot migrate the database"):
        await apt.install("1.6.0")
    assert await apt.installed() is None
    await apt.install("1.4.2")
    assert await apt.installed() == "1.4.2"
