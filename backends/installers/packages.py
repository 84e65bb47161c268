"""Installing one exact version of a package, newer or older than what is there."""

import shlex
from collections.abc import Mapping

from backends.errors import ConfigError
from backends.installers.recipe import Recipe
from backends.model import Command
from backends.versions import Package


class AptInstall(Recipe, kw_only=True, frozen=True, tag="apt"):
    """A Debian package; versions are full ones, such as `1:1.5.0-1`.

    Attributes:
        lock_timeout: seconds to wait for another apt or dpkg, such as unattended upgrades.
        update: fetch the package lists first; part of prefetching.
        options: more options of apt-get, such as ``-t stable``.
    """

    package: Package
    lock_timeout: int = 120
    update: bool = True
    options: str = ""

    def install_commands(self, values: Mapping[str, str]) -> tuple[Command, ...]:
        return (self._install(values["version"]),)

    def prefetch_commands(self, values: Mapping[str, str]) -> tuple[Command, ...]:
        download = self._install(values["version"], "--download-only")
        return (self._apt_get("update"), download) if self.update else (download,)

    def _install(self, version: str, *options: str) -> Command:
        # A changed configuration file would be asked about, and nobody is there to answer: keep it.
        keep = ("-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold")
        wanted = f"{self.package}={version}"
        return self._apt_get("install", "-y", "--allow-downgrades", *keep, *options, "--", wanted)

    def _apt_get(self, *arguments: str) -> Command:
        lock = ("-o", f"DPkg::Lock::Timeout={self.lock_timeout}")
        options = (*lock, *shlex.split(self.options))
        return Command(("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", *options, *arguments))


class DnfInstall(Recipe, kw_only=True, frozen=True, tag="dnf"):
    """An RPM package. `dnf install` with an exact version also downgrades.

    Attributes:
        release: versions are written with their release, such as `1.5.0-2.el9`.
        options: more options of dnf, such as ``--enablerepo=shop``.
    """

    package: Package
    release: bool = False
    options: str = ""

    def install_commands(self, values: Mapping[str, str]) -> tuple[Command, ...]:
        return (self._install(values["version"]),)

    def prefetch_commands(self, values: Mapping[str, str]) -> tuple[Command, ...]:
        return (self._install(values["version"], "--downloadonly"),)

    def _install(self, version: str, *options: str) -> Command:
        # Otherwise the version that is read back could never equal the wanted one.
        if ("-" in version) is not self.release or ":" in version:
            expected = "VERSION-RELEASE" if self.release else "VERSION alone (release = false)"
            raise ConfigError("", "version", f"{version!r}: expected {expected}, without an epoch")
        more = shlex.split(self.options)
        return Command(("dnf", "install", "-y", *more, *options, f"{self.package}-{version}"))
