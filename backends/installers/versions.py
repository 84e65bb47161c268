"""The version on a node's disk: one query for each way to install.

"Not installed" (None) is returned only where the evidence is certain, such as a message of the package
manager. Everything else that is not a version raises UnreadableReply.
"""

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Annotated, Literal

import msgspec

from backends.command import Command, CommandResult
from backends.errors import ConfigError, UnreadableReply
from backends.hosts.execution import format_output, query
from backends.protocols import Host
from backends.services.common import inspect_format, is_absent, service_name
from backends.templates import (
    NodeShell,
    NodeText,
    NoText,
    TaggedSettings,
    check_version,
    check_words,
    fill,
    fill_plain,
)
from backends.untrusted import check_pattern, search

Package = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9+._:-]*\Z")]
"""A package's name: never an option, a path or a wildcard of the package manager."""

_NO_SUCH_FILE = re.compile(r"(head|readlink): .*: No such file or directory\s*\Z")
_MAX_FILE_BYTES = 65536
_MAX_OUTPUT_CHARS = 5_000  # a path has at most 4,096


class CommandVersion(TaggedSettings, kw_only=True, frozen=True, tag="command"):
    """A shell command that prints the version; it cannot say "not installed".

    Attributes:
        run: the template of the command.
        pattern: regular expression with one group that finds the version in the whole output;
            without it the first line that is not empty is the version.
    """

    run: NodeShell
    pattern: str = ""

    def __post_init__(self) -> None:
        check_pattern(self.pattern)

    def command(self, values: Mapping[str, str]) -> Command:
        return Command.shell(fill(self.run, values))

    def read(self, result: CommandResult) -> str | None:
        return _pick_version(result, _check_success(result), self.pattern)


class FileVersion(TaggedSettings, kw_only=True, frozen=True, tag="file"):
    """A file that contains the version; without the file nothing is installed. `pattern` as above."""

    path: NodeText
    pattern: str = ""

    def __post_init__(self) -> None:
        check_pattern(self.pattern)

    def command(self, values: Mapping[str, str]) -> Command:
        path = fill_plain(self.path, values)
        return _untranslated_command("head", "-c", str(_MAX_FILE_BYTES), "--", path)

    def read(self, result: CommandResult) -> str | None:
        if _no_such_file(result):
            return None
        return _pick_version(result, _check_success(result), self.pattern)


class SymlinkVersion(TaggedSettings, kw_only=True, frozen=True, tag="symlink"):
    """A link such as `/opt/shop/current -> releases/1.4.2`: the last part of its target.

    No such link means not installed. `pattern` is applied to the last part.
    """

    path: NodeText
    pattern: str = ""

    def __post_init__(self) -> None:
        check_pattern(self.pattern)
        check_link("path", self.path)

    def command(self, values: Mapping[str, str]) -> Command:
        # -v because readlink says nothing otherwise, and "not a link" differs from "not there"
        return _untranslated_command("readlink", "-v", "--", fill_plain(self.path, values))

    def read(self, result: CommandResult) -> str | None:
        if _no_such_file(result):
            return None
        if result.exit_status == 1 and result.stderr.rstrip().endswith(": Invalid argument"):
            raise UnreadableReply(
                result.target, f"installed version: there is no link: {format_output(result)}"
            )
        return _pick_version(result, PurePosixPath(_check_success(result).strip()).name, self.pattern)


class DpkgVersion(TaggedSettings, kw_only=True, frozen=True, tag="dpkg"):
    """A Debian package's full version.

    Any status but "installed", half-configured too, counts as not installed: installing again repairs it.
    """

    package: Package

    def command(self, values: Mapping[str, str]) -> Command:
        show = r"--showformat=${db:Status-Status} ${Version}\n"
        return _untranslated_command("dpkg-query", "-W", show, "--", self.package)

    def read(self, result: CommandResult) -> str | None:
        if result.exit_status == 1 and "no packages found matching" in result.stderr:
            return None
        lines = [line.split() for line in _check_success(result).splitlines()]
        return _pick_only_version(
            result, [line[1] for line in lines if line[:1] == ["installed"] and line[1:]]
        )


class RpmVersion(TaggedSettings, kw_only=True, frozen=True, tag="rpm"):
    """An RPM package's version; with `release` it reads like `1.5.0-2.el9`, else like `1.5.0`."""

    package: Package
    release: bool = False

    def command(self, values: Mapping[str, str]) -> Command:
        show = r"%{VERSION}-%{RELEASE}\n" if self.release else r"%{VERSION}\n"
        return _untranslated_command("rpm", "-q", "--queryformat", show, "--", self.package)

    def read(self, result: CommandResult) -> str | None:
        if result.exit_status == 1 and "is not installed" in result.stdout:
            return None
        return _pick_only_version(result, _check_success(result).split())


class ContainerVersion(TaggedSettings, kw_only=True, frozen=True, tag="container"):
    """The tag of the image that a container was created from, running or not.

    `name` is a template, for containers that are called after their node.
    """

    name: NodeText
    engine: Literal["docker", "podman"] = "docker"
    engine_options: NoText = ""

    def __post_init__(self) -> None:
        check_words("engine_options", self.engine_options)

    def command(self, values: Mapping[str, str]) -> Command:
        name = service_name(self.name, values)
        show = ("inspect", "--type", "container", "--format", inspect_format(name, "{{.Config.Image}}"), name)
        return Command((self.engine, *shlex.split(self.engine_options), *show))

    def read(self, result: CommandResult) -> str | None:
        if is_absent(result):
            return None
        image = _check_success(result).strip()
        tag = image_tag(image)
        if not tag:
            raise UnreadableReply(result.target, f"image {image!r} has no tag to read a version from")
        return _pick_version(result, tag, "")


VersionSettings = CommandVersion | FileVersion | SymlinkVersion | DpkgVersion | RpmVersion | ContainerVersion


@dataclass(frozen=True, slots=True)
class VersionProbe:
    """Reads the version on the disk of one node.

    Attributes:
        values: the values of placeholders in templates.
        timeout: seconds for one query.
    """

    host: Host
    settings: VersionSettings
    values: Mapping[str, str]
    timeout: float = 30.0

    async def installed(self) -> str | None:
        """Return the version on disk, or None when nothing is installed.

        Raises:
            UnreadableReply: the version cannot be read.
            Unreachable: the node does not answer.
        """
        command = self.settings.command(self.values)
        return self.settings.read(await query(self.host, command, timeout=self.timeout))


def image_tag(image: str) -> str:
    """Return the tag of an image: `latest` without one, as for engines; empty for a digest or an id."""
    name, _, digest = image.partition("@")
    tag = name.rpartition("/")[2].partition(":")[2]  # the colon of "localhost:5000/shop" is a port
    bare_id = re.fullmatch(r"(sha256:)?[0-9a-f]{12,64}", name)
    if bare_id or (digest and not tag):
        return ""
    return tag or "latest"


def check_link(key: str, path: str) -> None:
    """Raise ValueError for the path of a link that would lead to what the link points to."""
    if path.endswith("/"):
        raise ValueError(f"`{key}`: found {path!r}, expected the link itself, without a slash at its end")


def _untranslated_command(*argv: str) -> Command:
    """Return a command whose output is not translated, as "not installed" is recognized by its text."""
    return Command(("env", "LC_ALL=C", *argv))


def _no_such_file(result: CommandResult) -> bool:
    # The end alone: the pattern would be tried at each of its beginnings in a long text.
    return result.exit_status == 1 and _NO_SUCH_FILE.search(result.stderr[-_MAX_OUTPUT_CHARS:]) is not None


def _check_success(result: CommandResult) -> str:
    if not result.ok:
        problem = f"installed version: exit status {result.exit_status}: {format_output(result)}"
        raise UnreadableReply(result.target, problem)
    return result.stdout


def _pick_version(result: CommandResult, text: str, pattern: str) -> str:
    """Return the version in `text`, by the pattern or as the first line that is not empty."""
    if pattern:
        try:
            match = search(pattern, text, re.MULTILINE)
        except UnreadableReply as error:
            raise UnreadableReply(result.target, f"installed version: {error.problem}") from None
        version = (match[1] or "") if match else ""
    else:
        version = next((line.strip() for line in text.splitlines() if line.strip()), "")
    if not version:
        what = f"nothing matches {pattern!r}" if pattern else "nothing was printed"
        if result.stderr.strip():
            what += f" on standard output; standard error, which is not read, says: {format_output(result)}"
        raise UnreadableReply(result.target, f"installed version: {what}")
    try:
        return check_version(version)
    except ConfigError as error:
        hint = "" if pattern else "; a `pattern` can pick it out of other text"
        raise UnreadableReply(result.target, f"installed version: {error.problem}{hint}") from None


def _pick_only_version(result: CommandResult, versions: list[str]) -> str | None:
    """Return the one version, on which several architectures of a package must agree."""
    if not versions:
        return None
    if len(set(versions)) > 1:
        found = ", ".join(sorted(set(versions)))
        raise UnreadableReply(result.target, f"several versions are installed: {found}")
    return _pick_version(result, versions[0], "")


MAX_OTHER_VERSIONS = 20  # versions that are kept of what a node lists
MAX_LISTED_VERSIONS = 50  # versions that are offered to choose from


def only_versions(texts: Iterable[str], most: int = MAX_OTHER_VERSIONS) -> tuple[str, ...]:
    """Return those of the texts that can be versions, each once: what a node lists is not trusted."""
    found: dict[str, None] = {}
    for text in texts:
        if len(found) == most:
            break
        try:
            found[check_version(text)] = None
        except ConfigError:
            continue
    return tuple(found)
