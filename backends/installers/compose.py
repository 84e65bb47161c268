"""The upgrade of one service of a compose file: its tag is replaced, and its container is recreated."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import msgspec

from backends.command import Command
from backends.errors import ConfigError, Refused, UnreadableReply
from backends.hosts.execution import command_obstacles, format_output, query
from backends.installers.common import QUERY_TIMEOUT_S, CommandSequence, SequenceInstaller
from backends.installers.compose_project import (
    ONE_OFF,
    PROJECT,
    SERVICE,
    ComposeOptions,
    LineEdit,
    check_tag,
    image_name,
    parse_options,
    project_obstacles,
    replica_obstacle,
    set_tag,
    set_variable,
)
from backends.installers.container import ANY_TAG, Image
from backends.node_state import Availability, Presence
from backends.services.common import inspect_format, is_absent, service_name
from backends.templates import InstallText, NodeText, NoText, check_words, fill_plain

MAX_FILE_BYTES = 128 * 1024  # of a compose file

# Written beside and moved over it: a reader finds the old file or the new one, never half of it.
_REPLACE_LINE = r"""
file=$(readlink -f -- "$1") && new=$file.rolldeck-new || exit 1
[ "$(sed -n -e "$2p" -- "$file")" = "$3" ] || { echo "line $2 of $1 is not what was read" >&2; exit 1; }
cp -p -- "$file" "$new" && LC_ALL=C sed -e "$2s/.*/$4/" -- "$file" >"$new" && mv -f -- "$new" "$file" ||
{ rm -f -- "$new"; exit 1; }"""

_IS_WRITABLE = """test -w "$(dirname -- "$(readlink -f -- "$1")")" || echo no"""


class ComposeInstall(CommandSequence, kw_only=True, frozen=True, tag="compose"):
    """One service of a compose file.

    Attributes:
        file: the compose file on the node.
        service: its name in the file.
        name: the container that compose makes of it, such as ``shop-web-1`` (``shop_web_1`` with compose 1).
        image: the image without its tag, to be fetched while the node is still serving; empty: it is not.
        command: how compose is called, with options, such as ``docker-compose``. Where it names several
            compose files by ``-f``, the file is one of them; it is added where it is not.
        engine: the program that has the container.
        engine_options: options before its command.
    """

    file: InstallText
    service: NodeText
    name: NodeText
    image: InstallText = ""
    command: NoText = "docker compose"
    engine: Literal["docker", "podman"] = "docker"
    engine_options: NoText = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_words("command", self.command)
        if not self.command.strip():
            raise ValueError("command: found an empty text, expected how compose is called")

    def install_commands(self, values: Mapping[str, str]) -> tuple[Command, ...]:
        """Return what is run, with words for the edit: it depends on a file not read for a plan."""
        key = f"services.{self.service_of(values)}.image"
        edit = f"# in {self.path(values)}: the tag of {key} becomes {check_tag(values['version'])}"
        return (Command.shell(edit), self.create_command(values))

    def prefetch_commands(self, values: Mapping[str, str]) -> tuple[Command, ...]:
        image = self.wanted_image(values)
        return (image.pull_command(),) if image else ()

    def wanted_image(self, values: Mapping[str, str]) -> Image | None:
        """Return the wanted image; None if the configuration does not name it."""
        if not self.image:
            return None
        name, tag = fill_plain(self.image, values), check_tag(values["version"])
        return Image(self.engine, self.engine_options, name, tag)

    def create_command(self, values: Mapping[str, str]) -> Command:
        """Create only this service's container, and do not start it: that is the next step's.

        Nor is an image built that cannot be had: it would be of whatever sources are there.
        """
        up = ("up", "--no-deps", "--no-build", "--no-start", self.service_of(values))
        return Command((*self._compose_words(values), *up))

    def compose_options(self, values: Mapping[str, str]) -> ComposeOptions:
        """Return the options that compose is called with."""
        return parse_options(self._compose_words(values))

    def inspect_command(self, values: Mapping[str, str]) -> Command:
        """Read the labels that compose gave to the container."""
        name = service_name(self.name, values)
        return self._call(
            "inspect",
            "--type",
            "container",
            "--format",
            inspect_format(name, "{{json .Config.Labels}}"),
            name,
        )

    def replicas_command(self, values: Mapping[str, str], project: str) -> Command:
        """List the names of all containers of the service in its project."""
        labels = [f"{PROJECT}={project}", f"{SERVICE}={self.service_of(values)}"]
        if self.engine == "docker":  # Podman's compose has no such label
            labels.append(f"{ONE_OFF}=False")
        filters = (word for label in labels for word in ("--filter", f"label={label}"))
        return self._call("ps", "--all", *filters, "--format", "{{.Names}}")

    def _compose_words(self, values: Mapping[str, str]) -> tuple[str, ...]:
        words, path = tuple(shlex.split(self.command)), self.path(values)
        return words if path in parse_options(words).files else (*words, "-f", path)

    def _call(self, *arguments: str) -> Command:
        return Command((self.engine, *shlex.split(self.engine_options), *arguments))

    def path(self, values: Mapping[str, str]) -> str:
        return fill_plain(self.file, values)

    def service_of(self, values: Mapping[str, str]) -> str:
        return service_name(self.service, values)


@dataclass(frozen=True, slots=True)
class ComposeInstaller(SequenceInstaller):
    """An Installer that can be run again after any interruption: the line is changed once."""

    sequence: ComposeInstall

    async def install(self, version: str) -> None:
        """Replace the tag, and let compose create the container; without success the tag is put back.

        Raises:
            Refused: the file is not as expected or could not be changed, or compose failed.
            UnknownOutcome: an answer was lost; nothing more was tried.
            Unreachable, UnreadableReply: the node does not answer.
        """
        values = self._values_for(version)
        edit = await self._find_edit(version, values)
        await self._replace(edit, f"install {version}")
        try:
            await self._execute(self.sequence.create_command(values), f"install {version}")
        except Refused as refused:
            await self._put_back(refused, edit)
            raise

    async def _put_back(self, refused: Refused, edit: LineEdit) -> None:
        """Put the old tag back: compose must not create the new one at its next call, or at a reboot."""
        back = LineEdit(edit.file, edit.number, edit.after, edit.before)
        try:
            await self._replace(back, "put the tag back")
        except Refused as second:
            problem = f"{refused.problem}; and {edit.file} has the new tag: {second.problem}"
            raise Refused(self.host.name, problem) from refused

    async def _replace(self, edit: LineEdit, what: str) -> None:
        if edit.before != edit.after:
            await self._execute(replace_command(edit), what)

    async def _find_edit(self, version: str, values: Mapping[str, str]) -> LineEdit:
        file, service = self.sequence.path(values), self.sequence.service_of(values)
        try:
            tag = check_tag(version)
            found = set_tag(await self.host.read_file(file, MAX_FILE_BYTES), file, service, tag)
            if isinstance(found, LineEdit):
                return found
            variables = self.sequence.compose_options(values).variables_file
            return set_variable(await self.host.read_file(variables, MAX_FILE_BYTES), variables, found, tag)
        except ConfigError as error:
            raise Refused(self.host.name, str(error)) from error

    async def _find_obstacles(self, version: str) -> tuple[str, ...]:
        """Return obstacles, also whether the tag could be set in the file as it is now."""
        values = self._values_for(version)
        try:
            edit = await self._find_edit(version, values)
        except Refused as refused:
            return (refused.problem,)
        commands = {"the edit": replace_command(edit), "install": self.sequence.create_command(values)}
        found = await command_obstacles(self.host, commands, track=True, programs=True)
        written = await query(self.host, writable_command(edit.file), timeout=QUERY_TIMEOUT_S)
        if written.stdout.strip() == "no":
            found += (f"the folder of {edit.file} cannot be written by the user who would edit the file",)
        return (*found, *await self._find_project_obstacles(values))

    async def _find_project_obstacles(self, values: Mapping[str, str]) -> tuple[str, ...]:
        """Return why compose would change more than the container's image; nothing without a container."""
        sequence, name = self.sequence, service_name(self.sequence.name, values)
        labels = await self._read_labels(sequence.inspect_command(values), name)
        if labels is None:
            return ()
        service = sequence.service_of(values)
        if found := project_obstacles(name, service, labels, sequence.compose_options(values)):
            return found
        command = sequence.replicas_command(values, labels[PROJECT])
        result = await query(self.host, command, timeout=QUERY_TIMEOUT_S)
        if not result.ok:
            raise UnreadableReply(
                self.host.name, f"containers of the service {service}: {format_output(result)}"
            )
        obstacle = replica_obstacle(name, service, result.stdout.split())
        return (obstacle,) if obstacle else ()

    async def _read_labels(self, command: Command, name: str) -> dict[str, str] | None:
        """Return the container's labels; None when there is no such container."""
        result = await query(self.host, command, timeout=QUERY_TIMEOUT_S)
        if is_absent(result):
            return None
        if not result.ok:
            raise UnreadableReply(self.host.name, f"inspect {name}: {format_output(result)}")
        try:
            found = msgspec.json.decode(result.stdout, type=dict[str, str] | None)
        except msgspec.DecodeError as error:
            raise UnreadableReply(self.host.name, f"inspect {name}: {error}") from error
        return found or {}

    async def _list_versions(self) -> tuple[str, ...] | None:
        image = self.sequence.wanted_image({**self.values, "version": ANY_TAG})
        return None if image is None else await image.list_tags(self.host)

    async def _look_for(self, values: Mapping[str, str]) -> Availability:
        """Look for the configured image, or for the one that the file names."""
        try:
            image = self.sequence.wanted_image(values) or await self._find_image_in_file(values)
        except ConfigError as error:
            return Availability(Presence.NOT_KNOWN, error.problem)
        if image is None:
            unknown = "its name in the compose file has variables, and install.image is not set"
            return Availability(Presence.NOT_KNOWN, unknown)
        return await image.find(self.host)

    async def _find_image_in_file(self, values: Mapping[str, str]) -> Image | None:
        sequence, file = self.sequence, self.sequence.path(values)
        name = image_name(await self.host.read_file(file, MAX_FILE_BYTES), file, sequence.service_of(values))
        if not name:
            return None
        return Image(sequence.engine, sequence.engine_options, name, check_tag(values["version"]))


def writable_command(file: str) -> Command:
    """Print `no` where `replace_command` could not write the file beside it that it needs."""
    return Command(("sh", "-c", _IS_WRITABLE, "sh", file))


def replace_command(edit: LineEdit) -> Command:
    """Replace one line of a file, which keeps its owner and mode; refuses when it is not as it was read."""
    after = edit.after.replace("\\", r"\\").replace("/", r"\/").replace("&", r"\&")
    return Command(("sh", "-c", _REPLACE_LINE, "sh", edit.file, str(edit.number), edit.before, after))
