"""A repository of Debian packages in a folder, and root directories that apt installs them into.

Nothing of this machine is touched: the database, the lists, the cache, the logs and the locks are there.
"""

import hashlib
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.support.needs import missing_as_root

PROGRAMS = ("apt-get", "dpkg-deb", "dpkg-query")

_CONTROL = """Package: shop
Version: {version}
Architecture: all
Maintainer: Tests <tests@example.com>
Description: tests
"""

_CONFIGURATION = """Dir::State "{root}/apt/state";
Dir::State::status "{root}/var/lib/dpkg/status";
Dir::Cache "{root}/apt/cache";
Dir::Log "{root}/apt/log";
Dir::Etc "{root}/apt/etc";
Dir::Etc::main "/dev/null";
Dir::Etc::parts "/dev/null";
APT::Sandbox::User "root";
DPkg::Options {{ "--root={root}"; "--force-unsafe-io"; }};
#clear APT::Update;
#clear DPkg::Post-Invoke;
#clear DPkg::Pre-Install-Pkgs;
"""


def missing() -> str:
    """Why there are no Debian packages here; empty when there are."""
    return missing_as_root(PROGRAMS)


@dataclass(frozen=True, slots=True)
class DebRepository:
    """The folder, with what is in it.

    Attributes:
        here: absolute.
    """

    here: Path

    @property
    def packages(self) -> Path:
        """The list of the packages that are in the repository."""
        return self.here / "repository" / "Packages"

    def publish(self, version: str, postinst: str = "", conflicts: str = "") -> None:
        """Build a package whose only file is the link `/current`, and add it."""
        control = _CONTROL.format(version=version)
        control += f"Conflicts: {conflicts}\n" if conflicts else ""
        tree = self.here / "build" / version
        (tree / "DEBIAN").mkdir(parents=True)
        self.packages.parent.mkdir(exist_ok=True)
        if postinst:
            (tree / "DEBIAN" / "postinst").write_text(postinst)
            (tree / "DEBIAN" / "postinst").chmod(0o755)
        (tree / "DEBIAN" / "control").write_text(control)
        (tree / "current").symlink_to(Path("releases") / version)
        deb = self.packages.parent / f"shop_{version}.deb"
        _call("dpkg-deb", "-b", str(tree), str(deb))
        with self.packages.open("a") as packages:
            packages.write(control)
            packages.write(f"Filename: ./{deb.name}\nSize: {deb.stat().st_size}\n")
            packages.write(f"SHA256: {hashlib.sha256(deb.read_bytes()).hexdigest()}\n\n")

    def remove(self, version: str) -> None:
        """Take the package of a version out."""
        rows = self.packages.read_text().split("\n\n")
        kept = [row for row in rows if f"Version: {version}\n" not in row]
        assert len(kept) == len(rows) - 1
        self.packages.write_text("\n\n".join(kept))
        (self.packages.parent / f"shop_{version}.deb").unlink()

    def prepare(self, root: Path) -> str:
        """Let apt install into a root directory from here.

        Returns:
            What has to stand before the commands of apt and dpkg.
        """
        folders = ("state/lists/partial", "cache/archives/partial", "etc", "log")
        for folder in (*(f"apt/{name}" for name in folders), "var/lib/dpkg/updates", "var/lib/dpkg/info"):
            (root / folder).mkdir(parents=True)
        (root / "var/lib/dpkg/status").touch()
        # Not file: for which apt keeps no list of its own, but a link to that of the repository.
        (root / "apt/etc/sources.list").write_text(f"deb [trusted=yes] copy:{self.packages.parent} ./\n")
        (root / "apt/apt.conf").write_text(_CONFIGURATION.format(root=root))
        return f"env APT_CONFIG={root}/apt/apt.conf DPKG_ADMINDIR={root}/var/lib/dpkg"


def call_there(prefix: str, *argv: str) -> None:
    """Run a program of apt or dpkg for the root directory that `prefix` was prepared for."""
    _call(*prefix.split(), *argv)


def _call(*argv: str) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
