"""Installation of one exact version of a package, newer or older than the installed one."""

import re
import shlex
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from backends.command import Command, CommandResult
from backends.errors import ConfigError
from backends.hosts.execution import format_output
from backends.installers.common import CommandSequence
from backends.installers.versions import Package, only_versions
from backends.node_state import THERE, Availability, Presence
from backends.templates import NoText

_DNF_FETCHED = re.compile(r"^Repo-expire\s*:.*\(last: ([^)]+)\)", re.MULTILINE)
_DNF_TIME = "%a %b %d %H:%M:%S %Y"


class AptInstall(CommandSequence, kw_only=True, frozen=True, tag="apt"):
    """A Debian package; versions are full ones, such as `1:1.5.0-1`.

    Attributes:
        lock_timeout: seconds to wait for another apt or dpkg, such as unattended upgrades.
        update: fetch the package lists first; part of prefetching.
        options: more options of apt-get, such as ``-t stable``; an install that has to remove other packages
            is refused without ``-o APT::Get::Remove=true``, as no way back would bring them again.
    """

    package: Package
    lock_timeout: int = 120
    update: bool = True
    options: NoText = ""

    def install_commands(self, values: Mapping[str, str]) -> tuple[Command, ...]:
        return (self._install(values["version"]),)

    def prefetch_commands(self, values: Mapping[str, str]) -> tuple[Command, ...]:
        download = self._install(values["version"], "--download-only")
        return (self._apt_get("update"), download) if self.update else (download,)

    def obstacle_command(self, values: Mapping[str, str]) -> Command | None:
        show = r"--showformat=${db:Status-Want}\n"
        return Command(("env", "LC_ALL=C", "dpkg-query", "-W", show, "--", self.package))

    def read_obstacle(self, result: CommandResult) -> str:
        """Report a hold: it is somebody's decision, which is respected and not overridden."""
        if not result.ok or "hold" not in result.stdout.split():
            return ""
        return f"{self.package} is held; `apt-mark unhold {self.package}` on the node ends the hold"

    def availability_command(self, values: Mapping[str, str]) -> Command | None:
        """Read the package lists as they are on the node; they are not fetched anew."""
        return Command(("env", "LC_ALL=C", "apt-cache", *self._settings_options(), "madison", self.package))

    def read_availability(self, result: CommandResult, values: Mapping[str, str]) -> Availability:
        if not result.ok:
            return Availability(Presence.NOT_KNOWN, f"apt-cache: {format_output(result)}")
        found = self.read_list(result)
        if values["version"] in found:
            return THERE
        missing = f"the package lists have no {self.package} of this version"
        if not self.update:
            return Availability(Presence.NOT_THERE, missing, only_versions(found))
        brought = f"{missing} now, and are updated before the first node is drained"
        others = only_versions(found)
        return Availability(Presence.NOT_KNOWN, brought, others, lacking=bool(others))

    def list_command(self, values: Mapping[str, str]) -> Command | None:
        return self.availability_command(values)

    def read_list(self, result: CommandResult) -> Sequence[str]:
        rows = [[cell.strip() for cell in line.split(" | ")] for line in result.stdout.splitlines()]
        # Sources are listed too, and cannot be installed.
        return [row[1] for row in rows if len(row) == 3 and not row[2].endswith(" Sources")]

    def fetch_command(self, values: Mapping[str, str]) -> Command | None:
        """Read when apt last wrote into the folder of lists: their own times are those of the repository."""
        where = shlex.join(("apt-config", *self._settings_options(), "shell", "lists", "Dir::State::lists/d"))
        return Command.shell(f'eval "$({where})" && exec stat -c %Y -- "$lists"')

    def read_fetch(self, result: CommandResult) -> str:
        try:
            changed = datetime.fromtimestamp(int(result.stdout), UTC) if result.ok else None
        except (ValueError, OverflowError, OSError):
            return ""
        return f"apt last changed the lists at {_format_time(changed)}" if changed else ""

    def _settings_options(self) -> tuple[str, ...]:
        """Return the options that say where apt's settings and lists are; apt-cache knows no others."""
        options = shlex.split(self.options)
        found: list[str] = []
        for index, option in enumerate(options):
            if option in ("-o", "--option", "-c", "--config-file"):
                found += options[index : index + 2]
            elif option.startswith(("-o", "--option=", "-c", "--config-file=")):
                found.append(option)
        return tuple(found)

    def _install(self, version: str, *options: str) -> Command:
        # A changed configuration file would be asked about, and no operator is there to answer: keep it.
        keep = ("-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold")
        wanted = f"{self.package}={version}"
        return self._apt_get("install", "-y", "--allow-downgrades", *keep, *options, "--", wanted)

    def _apt_get(self, *arguments: str) -> Command:
        own = ("-o", f"DPkg::Lock::Timeout={self.lock_timeout}", "-o", "APT::Get::Remove=false")
        options = (*own, *shlex.split(self.options))
        return Command(("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", *options, *arguments))


class DnfInstall(CommandSequence, kw_only=True, frozen=True, tag="dnf"):
    """An RPM package. `dnf install` with an exact version also downgrades.

    Attributes:
        release: versions are written with their release, such as `1.5.0-2.el9`.
        update: fetch the repositories' metadata first; part of prefetching. Without it dnf takes what it has
            fetched within the last two days, and does not know of a version that is newer.
        options: more options of dnf, such as ``--enablerepo=shop``.
    """

    package: Package
    release: bool = False
    update: bool = True
    options: NoText = ""

    def install_commands(self, values: Mapping[str, str]) -> tuple[Command, ...]:
        return (self._install(values["version"]),)

    def prefetch_commands(self, values: Mapping[str, str]) -> tuple[Command, ...]:
        fresh = ("--refresh",) if self.update else ()
        return (self._install(values["version"], *fresh, "--downloadonly"),)

    def availability_command(self, values: Mapping[str, str]) -> Command | None:
        """Read what was fetched of the repositories before; nothing is fetched anew."""
        show = r"%{version}-%{release}\n" if self.release else r"%{version}\n"
        more = shlex.split(self.options)
        query = ("repoquery", "--cacheonly", "--quiet", *more, "--queryformat", show, self.package)
        return Command(("env", "LC_ALL=C", "dnf", *query))

    def read_availability(self, result: CommandResult, values: Mapping[str, str]) -> Availability:
        if not result.ok:
            return Availability(Presence.NOT_KNOWN, f"dnf: {format_output(result)}")
        found = self.read_list(result)
        if values["version"] in found:
            return THERE
        missing = f"what dnf has fetched of the repositories has no {self.package} of this version"
        if not self.update:
            return Availability(Presence.NOT_KNOWN, missing, only_versions(found))
        brought = f"{missing}, and dnf looks again before the first node is taken out"
        others = only_versions(found)
        return Availability(Presence.NOT_KNOWN, brought, others, lacking=bool(others))

    def list_command(self, values: Mapping[str, str]) -> Command | None:
        return self.availability_command(values)

    def read_list(self, result: CommandResult) -> Sequence[str]:
        lines = [line.strip() for line in result.stdout.splitlines() if line.strip()]
        return lines[::-1]  # dnf lists the oldest first

    def fetch_command(self, values: Mapping[str, str]) -> Command | None:
        show = ("repolist", "--cacheonly", "--verbose", *shlex.split(self.options))
        return Command(("env", "LC_ALL=C", "TZ=UTC", "dnf", *show))

    def read_fetch(self, result: CommandResult) -> str:
        """Return when the repository was fetched whose fetch is the oldest, in words."""
        try:
            texts = _DNF_FETCHED.findall(result.stdout)
            times = {datetime.strptime(text, _DNF_TIME).replace(tzinfo=UTC) for text in texts}
        except ValueError:
            return ""
        if not result.ok or not times:
            return ""
        return f"dnf fetched that at {_format_time(min(times))}" + (" or later" if len(times) > 1 else "")

    def _install(self, version: str, *options: str) -> Command:
        # Otherwise the version that is read back could never equal the wanted one.
        if ("-" in version) is not self.release or ":" in version:
            expected = "VERSION-RELEASE" if self.release else "VERSION alone (release = false)"
            raise ConfigError("", "version", f"{version!r}: expected {expected}, without an epoch")
        more = shlex.split(self.options)
        return Command(("dnf", "install", "-y", *more, *options, f"{self.package}-{version}"))


def _format_time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
