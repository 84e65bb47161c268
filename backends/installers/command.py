"""Installation by the operator's own command, or by a link to one of several releases; or none at all."""

import posixpath
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace

from backends.command import Command, CommandResult
from backends.hosts.execution import format_output
from backends.installers.common import CommandSequence
from backends.installers.versions import MAX_LISTED_VERSIONS, check_link, only_versions
from backends.node_state import THERE, Availability, Presence
from backends.templates import InstallShell, InstallText, NodeText, fill, fill_plain

EXISTS_TIMEOUT_S = 20  # for `exists`
_TIMEOUT_EXIT_STATUS = "124"  # of timeout(1)
_STATUS = "rolldeck: exit status "


class CommandInstall(CommandSequence, kw_only=True, frozen=True, tag="command"):
    """Templates of shell commands.

    Attributes:
        run: installs `{version}`.
        prefetch: downloads it while the node is still serving; empty when there is nothing to do.
        exists: exits with 0 when `{version}` can be had, after `prefetch` if there is one, and with 1 when it
            cannot. Any other exit status, or no end within `EXISTS_TIMEOUT_S`, means nothing. It must change
            nothing.
    """

    run: InstallShell
    prefetch: InstallShell = ""
    exists: InstallShell = ""

    def install_commands(self, values: Mapping[str, str]) -> tuple[Command, ...]:
        return (Command.shell(fill(self.run, values)),)

    def prefetch_commands(self, values: Mapping[str, str]) -> tuple[Command, ...]:
        return (Command.shell(fill(self.prefetch, values)),) if self.prefetch else ()

    def availability_command(self, values: Mapping[str, str]) -> Command | None:
        if not self.exists:
            return None
        # Its exit status as text: 1 is also what sudo and docker give when they fail themselves. It is ended
        # on the node, so that no check leaves a hung one there.
        script = f"timeout {EXISTS_TIMEOUT_S} sh -c {shlex.quote(fill(self.exists, values))}"
        return Command.shell(f"{script}; printf '\\n{_STATUS}%s\\n' $?")

    def read_availability(self, result: CommandResult, values: Mapping[str, str]) -> Availability:
        before, mark, status = result.stdout.rpartition(f"\n{_STATUS}")
        if not mark:
            return Availability(Presence.NOT_KNOWN, f"`exists` was not run: {format_output(result)}")
        if status.strip() == "0":
            return THERE
        output = format_output(replace(result, stdout=before))
        if status.strip() == "1":
            return Availability(Presence.NOT_THERE, f"`exists` says so: {output}")
        if status.strip() == _TIMEOUT_EXIT_STATUS:
            return Availability(Presence.NOT_KNOWN, f"`exists` did not end within {EXISTS_TIMEOUT_S} s")
        expected = "expected 0 (it can be had) or 1 (it cannot)"
        return Availability(
            Presence.NOT_KNOWN, f"`exists`: exit status {status.strip()}, {expected}: {output}"
        )

    def availability_unknown(self) -> str:
        return "no `exists` command is configured in its install table"


class NoInstall(CommandSequence, kw_only=True, frozen=True, tag="none"):
    """Someone else installs; the version is only verified."""

    def install_commands(self, values: Mapping[str, str]) -> tuple[Command, ...]:
        return ()

    def availability_unknown(self) -> str:
        return "it is installed by other means"


_OBSTACLES = {
    "no link": "`link` is not a symbolic link, and would not be replaced",
    "no folder": "the folder of `link` does not exist",
    "not writable": "the folder of `link` cannot be written by the user who would replace the link",
}


class SymlinkInstall(CommandSequence, kw_only=True, frozen=True, tag="symlink"):
    """Points the link to the release's directory, atomically.

    Attributes:
        releases: directory that holds one directory for each version.
        link: the link, such as ``/opt/shop/current``; never a directory.
        prefetch: template of a shell command that brings `{version}` into `releases`. Let it copy
            under another name and rename at the end: half a release looks like a whole one.
    """

    releases: InstallText
    link: NodeText
    prefetch: InstallShell = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if posixpath.isabs(self.link) and not posixpath.isabs(self.releases):
            raise ValueError("`releases` has to be an absolute path when `link` is one")
        check_link("link", self.link)

    def install_commands(self, values: Mapping[str, str]) -> tuple[Command, ...]:
        return (Command.shell(switch_script(self._release_path(values), fill_plain(self.link, values))),)

    def prefetch_commands(self, values: Mapping[str, str]) -> tuple[Command, ...]:
        return (Command.shell(fill(self.prefetch, values)),) if self.prefetch else ()

    def obstacle_command(self, values: Mapping[str, str]) -> Command | None:
        """Test whether the link could be replaced: it and a name beside it are written in its folder."""
        link = fill_plain(self.link, values)
        link, folder = shlex.quote(link), shlex.quote(posixpath.dirname(link) or ".")
        return Command.shell(
            f"if [ -e {link} ] && [ ! -L {link} ]; then echo no link; "
            f"elif [ ! -d {folder} ]; then echo no folder; "
            f"elif [ ! -w {folder} ]; then echo not writable; fi; true"
        )

    def read_obstacle(self, result: CommandResult) -> str:
        """See `CommandSequence.read_obstacle`."""
        return _OBSTACLES.get(result.stdout.strip(), "")

    def availability_command(self, values: Mapping[str, str]) -> Command | None:
        """Test for the release as `install_commands` does, and list the others, the newest first."""
        release, releases = (
            shlex.quote(path) for path in (self._release_path(values), fill_plain(self.releases, values))
        )
        return Command.shell(
            f"if [ -d {release} ]; then echo there; else echo missing; "
            f"cd -- {releases} 2>/dev/null && ls -1td -- */ 2>/dev/null | head -n 50; fi; true"
        )

    def read_availability(self, result: CommandResult, values: Mapping[str, str]) -> Availability:
        # The word alone: exit status 1 is also what sudo and docker give when they fail themselves.
        word, *names = result.stdout.splitlines() or [""]
        if word == "there":
            return THERE
        if word != "missing":
            return Availability(Presence.NOT_KNOWN, format_output(result))
        others = only_versions(name.removesuffix("/") for name in names)
        missing = f"there is no directory {self._release_path(values)}"
        if not self.prefetch:
            return Availability(Presence.NOT_THERE, missing, others)
        brought = f"{missing} yet, and `prefetch` is to bring it before the first node is taken out"
        return Availability(Presence.NOT_KNOWN, brought, others)

    def list_command(self, values: Mapping[str, str]) -> Command | None:
        if "{version}" in self.releases:
            return None
        releases = shlex.quote(fill_plain(self.releases, values))
        return Command.shell(f"cd -- {releases} && ls -1td -- */ 2>/dev/null | head -n {MAX_LISTED_VERSIONS}")

    def read_list(self, result: CommandResult) -> Sequence[str]:
        return [name.removesuffix("/") for name in result.stdout.splitlines()]

    def _release_path(self, values: Mapping[str, str]) -> str:
        return posixpath.join(fill_plain(self.releases, values), values["version"])


def switch_script(release: str, link: str) -> str:
    """Return a shell script that lets the link point to the release, if that exists.

    rename(2) replaces the link in one step, so that there is never a moment without one; `mv -T`
    refuses to move the new link *into* a directory, should there be one in the link's place.
    """
    new = shlex.quote(f"{link}.rolldeck-new")
    return (
        f"[ -d {shlex.quote(release)} ] || "
        f"{{ echo {shlex.quote(f'no such release: {release}')} >&2; exit 1; }}; "
        f"ln -sfn -- {shlex.quote(_link_target(release, link))} {new} && "
        f"mv -fT -- {new} {shlex.quote(link)}"
    )


_LOGIN_FOLDER = "/login" * 64
"""Stands for the folder in which commands run there, which is not known here: as deep as any `..` climbs."""


def _link_target(release: str, link: str) -> str:
    """Return the link's target: a relative path is read from the link's own directory."""
    if posixpath.isabs(release) or posixpath.isabs(link):
        return release
    start = posixpath.join(_LOGIN_FOLDER, posixpath.dirname(link))
    return posixpath.relpath(posixpath.join(_LOGIN_FOLDER, release), start)
