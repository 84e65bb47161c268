"""A repository of RPM packages in a folder, and a root directory that dnf installs them into.

Nothing of this machine is touched: the database, the cache, the logs and the locks are in the folder.
"""

import os
import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support.needs import missing_as_root

PROGRAMS = ("dnf", "rpm", "rpmbuild", "createrepo_c")

_SPEC = """Name: shop
Version: {version}
Release: {release}
Epoch: {epoch}
Summary: tests
License: none
BuildArch: noarch
%description
tests
%install
mkdir -p %{{buildroot}}
ln -s releases/{version} %{{buildroot}}/current
%files
/current
"""

_CONFIGURATION = """[main]
reposdir=/nowhere
varsdir=/nowhere
pluginconfpath=/nowhere
cachedir={here}/cache
logdir={here}/log
gpgcheck=0
[shop]
name=shop
baseurl=file://{here}/repository
"""


def missing() -> str:
    """Why there are no RPM packages here; empty when there are."""
    return missing_as_root(PROGRAMS)


@dataclass(frozen=True, slots=True)
class RpmRepository:
    """The folder, with what is in it.

    Attributes:
        here: absolute.
    """

    here: Path

    def publish(self, version: str, release: str = "1", epoch: int = 0) -> None:
        """Build a package whose only file is the link `/current`, and add it."""
        (self.here / "repository").mkdir(parents=True, exist_ok=True)
        configuration = self.here / "dnf.conf"
        if not configuration.exists():  # dnf fetches anew when it is younger than what dnf has fetched
            configuration.write_text(_CONFIGURATION.format(here=self.here))
        spec = self.here / "shop.spec"
        spec.write_text(_SPEC.format(version=version, release=release, epoch=epoch))
        defines = {"_topdir": self.here / "build", "_rpmdir": self.here / "repository"}
        options = [word for name, value in defines.items() for word in ("--define", f"{name} {value}")]
        self.call("rpmbuild", "-bb", "--quiet", *options, str(spec))
        self._index()

    def remove(self, version: str) -> None:
        """Take all packages of a version out."""
        for package in (self.here / "repository").rglob(f"shop-{version}-*.rpm"):
            package.unlink()
        self._index()

    def _index(self) -> None:
        self.call("createrepo_c", "--quiet", "--update", str(self.here / "repository"))

    @property
    def metadata(self) -> Path:
        """What dnf reads first of a repository."""
        return self.here / "repository" / "repodata"

    def options(self, root: Path) -> str:
        """dnf's, to install from here into a root directory."""
        return shlex.join((f"--config={self.here}/dnf.conf", f"--installroot={root}", "--releasever=1"))

    def environment(self) -> Mapping[str, str]:
        """In which Debian's rpm keeps its database below the root, and not in somebody's home."""
        return {"HOME": "/rpm", "PATH": os.environ["PATH"], "LC_ALL": "C"}

    def call(self, *argv: str) -> str:
        """Run one of the programs and return its output."""
        done = subprocess.run(argv, env=self.environment(), capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout
