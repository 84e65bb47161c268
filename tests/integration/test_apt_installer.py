"""The real apt and dpkg, with a repository, a database and a root directory of their own."""

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


def publish(here: Path, version: str) -> None:
    """Build a package whose only file is its version, and add it to the repository."""
    (here / version / "DEBIAN").mkdir(parents=True)
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


def make_apt(here: Path, *, update: bool = True) -> Installer:
    own = f"env APT_CONFIG={here}/apt.conf DPKG_ADMINDIR={here}/root/var/lib/dpkg"
    host = LocalHost("web1", prefix=own)
    settings = AptInstall(package="shop", lock_timeout=10, update=update)
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
