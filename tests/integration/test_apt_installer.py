"""The real apt and dpkg, with a repository, a database and a root directory of their own."""

import fcntl
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from backends.availability import Presence
from backends.base import Installer
from backends.errors import Refused
from backends.hosts.local import LocalHost
from backends.installers.kinds import default_version, make_installer
from backends.installers.packages import AptInstall
from orchestrator.plan import Finding, Severity
from tests.integration.ways_back import find_ways_back

pytestmark = pytest.mark.skipif(
    not all(map(shutil.which, ("apt-get", "dpkg-deb", "dpkg-query"))) or os.geteuid() != 0,
    reason="needs apt, dpkg and root",
)

CONTROL = """Package: shop
Version: {version}
Architecture: all
Maintainer: Tests <tests@example.com>
Description: tests
"""

APT_CONF = """Dir::State "{here}/state";
Dir::State::status "{here}/root/var/lib/dpkg/status";
Dir::Cache "{here}/cache";
Dir::Log "{here}/log";
Dir::Etc "{here}/etc";
Dir::Etc::main "/dev/null";
Dir::Etc::parts "/dev/null";
APT::Sandbox::User "root";
DPkg::Options {{ "--root={here}/root"; "--force-unsafe-io"; }};
#clear APT::Update;
#clear DPkg::Post-Invoke;
#clear DPkg::Pre-Install-Pkgs;
"""


POSTINST = """#!/bin/sh
echo "cannot migrate the database" >&2
exit 3
"""


def publish(here: Path, version: str, postinst: str = "") -> None:
    """Build a package whose only file is its version, and add it to the repository."""
    (here / version / "DEBIAN").mkdir(parents=True)
    if postinst:
        (here / version / "DEBIAN" / "postinst").write_text(postinst)
        (here / version / "DEBIAN" / "postinst").chmod(0o755)
    (here / version / "DEBIAN" / "control").write_text(CONTROL.format(version=version))
    (here / version / "VERSION").write_text(f"{version}\n")
    deb = here / "repository" / f"shop_{version}.deb"
    done = subprocess.run(["dpkg-deb", "-b", here / version, deb], capture_output=True, timeout=30)
    assert done.returncode == 0, done.stderr
    with (here / "repository" / "Packages").open("a") as packages:
        packages.write(CONTROL.format(version=version))
        packages.write(f"Filename: ./{deb.name}\nSize: {deb.stat().st_size}\n")
        packages.write(f"SHA256: {hashlib.sha256(deb.read_bytes()).hexdigest()}\n\n")


@pytest.fixture
def apt(tmp_path: Path) -> Installer:
    folders = ("repository", "state/lists/partial", "cache/archives/partial", "etc", "log")
    for folder in (*folders, "root/var/lib/dpkg/updates", "root/var/lib/dpkg/info"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "root/var/lib/dpkg/status").touch()
    (tmp_path / "etc/sources.list").write_text(f"deb [trusted=yes] file:{tmp_path}/repository ./\n")
    (tmp_path / "apt.conf").write_text(APT_CONF.format(here=tmp_path))
    publish(tmp_path, "1.4.2")
    return make_apt(tmp_path)


def make_apt(here: Path, *, update: bool = True, lock_timeout: int = 10) -> Installer:
    own = f"env APT_CONFIG={here}/apt.conf DPKG_ADMINDIR={here}/root/var/lib/dpkg"
    host = LocalHost("web1", prefix=own)
    settings = AptInstall(package="shop", lock_timeout=lock_timeout, update=update)
    version = default_version(settings)
    assert version is not None
    return make_installer(settings, version, host=host, console=host, values={})


async def test_up_and_down_again(apt: Installer, tmp_path: Path) -> None:
    assert await apt.installed() is None
    await apt.prefetch("1.4.2")
    assert await apt.installed() is None
    await apt.install("1.4.2")
    assert await apt.installed() == "1.4.2"
    publish(tmp_path, "1.5.0~rc1+b1")
    await apt.prefetch("1.5.0~rc1+b1")
    assert await apt.installed() == "1.4.2"
    await apt.install("1.5.0~rc1+b1")
    assert await apt.installed() == "1.5.0~rc1+b1"
    assert (tmp_path / "root" / "VERSION").read_text() == "1.5.0~rc1+b1\n"
    await apt.install("1.4.2")
    assert await apt.installed() == "1.4.2"


async def test_a_version_that_is_nowhere(apt: Installer) -> None:
    with pytest.raises(Refused, match=r"prefetch 9\.9: exit status 100: .*Version '9\.9' for 'shop'"):
        await apt.prefetch("9.9")
    assert await apt.installed() is None


async def test_what_the_package_lists_have_is_known_before(apt: Installer, tmp_path: Path) -> None:
    await apt.prefetch("1.4.2")
    assert (await apt.check_availability("1.4.2")).presence is Presence.THERE
    missing = await apt.check_availability("1.4.3")
    assert (missing.presence, missing.others) == (Presence.NOT_KNOWN, ("1.4.2",))
    assert "are fetched anew before the first node is taken out" in missing.detail
    found = await make_apt(tmp_path, update=False).check_availability("1.4.3")
    assert (found.presence, found.others) == (Presence.NOT_THERE, ("1.4.2",))
    assert found.detail == "the package lists have no shop of this version"


async def test_the_way_back_is_there_as_long_as_its_package_is(apt: Installer, tmp_path: Path) -> None:
    await apt.prefetch("1.4.2")
    await apt.install("1.4.2")
    publish(tmp_path, "1.5.0")
    await apt.prefetch("1.5.0")
    assert await find_ways_back(apt, "1.5.0") == []
    packages = tmp_path / "repository/Packages"
    old, _, new = packages.read_text().partition("\n\n")
    packages.write_text(new)
    (tmp_path / "repository/shop_1.4.2.deb").unlink()
    assert "1.4.2" in old
    await apt.prefetch("1.5.0")
    missing = "the package lists have no shop of this version"
    text = f"going back to 1.4.2 would not work: {missing}; there is 1.5.0"
    as_they_are = make_apt(tmp_path, update=False)
    assert await find_ways_back(as_they_are, "1.5.0") == [Finding(Severity.WARNING, "web1", text)]
    [found] = await find_ways_back(apt, "1.5.0")
    assert found.severity is Severity.INFO
    assert found.text.startswith(f"not checked whether going back to 1.4.2 would work: {missing} now")


async def test_a_hold_is_respected(apt: Installer, tmp_path: Path) -> None:
    await apt.prefetch("1.4.2")
    await apt.install("1.4.2")
    publish(tmp_path, "1.5.0")
    call(tmp_path, "apt-mark", "hold", "shop")
    assert await apt.installed() == "1.4.2"
    found = await apt.check_availability("1.5.0")
    assert found.presence is Presence.NOT_THERE
    assert found.detail == "shop is held; `apt-mark unhold shop` on the node ends the hold"
    with pytest.raises(Refused, match="Held packages were changed and -y was used"):
        await apt.prefetch("1.5.0")
    call(tmp_path, "apt-mark", "unhold", "shop")
    assert (await apt.check_availability("1.5.0")).presence is Presence.THERE


def call(here: Path, *argv: str) -> None:
    environment = {
        **os.environ,
        "APT_CONFIG": f"{here}/apt.conf",
        "DPKG_ADMINDIR": f"{here}/root/var/lib/dpkg",
    }
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr


async def test_who_holds_a_lock_is_said(apt: Installer, tmp_path: Path) -> None:
    await apt.prefetch("1.4.2")
    hurried = make_apt(tmp_path, lock_timeout=1)
    with (tmp_path / "root/var/lib/dpkg/lock-frontend").open("w") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        words = rf"Unable to acquire the dpkg frontend lock .*held by process {os.getpid()} \("
        with pytest.raises(Refused, match=words):
            await hurried.install("1.4.2")
    await hurried.install("1.4.2")
    assert await apt.installed() == "1.4.2"


async def test_a_broken_repository_shows_before_anything_is_touched(apt: Installer, tmp_path: Path) -> None:
    (tmp_path / "repository/Packages").rename(tmp_path / "Packages")
    with pytest.raises(Refused, match=r"prefetch 1\.4\.2: .*Failed to fetch file:.*File not found"):
        await apt.prefetch("1.4.2")
    (tmp_path / "Packages").rename(tmp_path / "repository/Packages")
    await apt.prefetch("1.4.2")
    (tmp_path / "root/var/lib/dpkg/updates/0001").touch()
    with pytest.raises(Refused, match=r"prefetch 1\.4\.2: .*dpkg was interrupted"):
        await apt.prefetch("1.4.2")
    assert await apt.installed() is None


async def test_a_package_whose_script_fails_and_its_repair(apt: Installer, tmp_path: Path) -> None:
    """Half of a package is none: installing the earlier one again repairs it."""
    shell = shutil.which("busybox")
    if shell is None:
        pytest.skip("needs busybox, which the script is run by")
    (tmp_path / "root/bin").mkdir()
    shutil.copy(shell, tmp_path / "root/bin/sh")
    publish(tmp_path, "1.6.0", POSTINST)
    await apt.prefetch("1.4.2")
    await apt.install("1.4.2")
    with pytest.raises(Refused, match=r"returned an error code \(1\).*cannot migrate the database"):
        await apt.install("1.6.0")
    assert await apt.installed() is None
    await apt.install("1.4.2")
    assert await apt.installed() == "1.4.2"
