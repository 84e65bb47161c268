"""The upgrade of a container: it is recreated from the image of the target version."""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import msgspec

from backends.command import Command, CommandResult
from backends.errors import ConfigError, Refused, UnreadableReply
from backends.hosts.execution import format_output, query
from backends.installers.common import QUERY_TIMEOUT_S, CommandSequence, SequenceInstaller, query_versions
from backends.installers.versions import MAX_LISTED_VERSIONS, only_versions
from backends.node_state import THERE, Availability, Presence
from backends.protocols import Host
from backends.services.common import inspect_format, is_absent, service_name
from backends.templates import CreateShell, InstallText, NodeText, NoText, fill, fill_plain

_NO_IMAGE = re.compile(r"no such image|image not known|failed to find image", re.IGNORECASE)
# Docker's own "no such manifest" also follows a registry that wants a password.
_REGISTRY_HAS_NONE = re.compile(
    r"manifest unknown|name unknown|manifest for \S+ not found|repository name not known", re.IGNORECASE
)
_REGISTRY_TIMEOUT_S = 15  # for one that does not answer
ANY_TAG = "latest"  # where a tag is needed and does not matter
_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:-]*")


@dataclass(frozen=True, slots=True)
class Image:
    """One version of an image, for one engine.

    Attributes:
        engine: "docker" or "podman".
        engine_options: options before the command.
        name: without the tag.
        tag: the version.
    """

    engine: str
    engine_options: str
    name: str
    tag: str

    def __post_init__(self) -> None:
        if not _IMAGE.fullmatch(self.name):
            raise ConfigError("", "install.image", f"{self.name!r} is not the name of an image")

    @property
    def tagged(self) -> str:
        return f"{self.name}:{self.tag}"

    def pull_command(self) -> Command:
        return self._call("pull", self.tagged)

    def find_command(self) -> Command:
        """Test whether the image is on the node."""
        return self._call("image", "inspect", "--format", "{{.Id}}", self.tagged)

    def tags_command(self) -> Command:
        """List its tags that are on the node, the newest first."""
        return self._call("image", "ls", "--format", "{{.Tag}}", self.name)

    def registry_tags_command(self) -> Command | None:
        """List the tags that the registry has; None where the engine cannot ask for them."""
        if self.engine != "podman" or self.name.startswith("localhost/"):
            return None
        limit = ("--limit", str(MAX_LISTED_VERSIONS))
        ask = self._call("search", "--list-tags", *limit, "--format", "json", self.name)
        return Command(("timeout", str(_REGISTRY_TIMEOUT_S), *ask.argv))

    async def list_tags(self, host: Host) -> tuple[str, ...]:
        """Return tags: those on the node, the newest first, then others of the registry.

        Raises:
            BackendError: the node or its engine does not answer.
        """
        texts = (await query_versions(host, self.tags_command())).stdout.split()
        if (command := self.registry_tags_command()) is not None:
            texts += _read_tags(await _query_briefly(host, command))
        return only_versions(texts, MAX_LISTED_VERSIONS)

    def manifest_command(self) -> Command | None:
        """Test whether the registry has it, without a pull; None if no registry has images of this name."""
        if self.engine == "podman" and self.name.startswith("localhost/"):
            return None  # what Podman calls those that were built here
        ask = self._call("manifest", "inspect", self.tagged)
        return Command(("timeout", str(_REGISTRY_TIMEOUT_S), *ask.argv))

    async def find(self, host: Host) -> Availability:
        """Look on the node first, then in the registry: a creation too fetches what is not there."""
        local = await _query_briefly(host, self.find_command())
        if local.ok:
            return THERE
        if not _NO_IMAGE.search(format_output(local)):
            return Availability(Presence.NOT_KNOWN, format_output(local))
        tags = await _query_briefly(host, self.tags_command())
        others = only_versions(tags.stdout.split()) if tags.ok else ()
        command = self.manifest_command()
        if command is None:
            return Availability(Presence.NOT_THERE, "the node has no such image", others)
        registry = await _query_briefly(host, command)
        if registry.ok:
            return THERE
        output = format_output(registry)
        if _REGISTRY_HAS_NONE.search(output):
            missing = f"neither the node nor the registry has the image: {output}"
            return Availability(Presence.NOT_THERE, missing, others)
        return Availability(Presence.NOT_KNOWN, f"the registry could not be asked: {output}", others)

    def _call(self, *arguments: str) -> Command:
        return Command((self.engine, *shlex.split(self.engine_options), *arguments))


class _Tags(msgspec.Struct):
    """What `podman search --list-tags` prints of each image."""

    tags: list[str] = msgspec.field(name="Tags", default_factory=list)


def _read_tags(result: CommandResult) -> list[str]:
    """Return the tags of a registry, the newest first as far as it lists them so; none without an answer."""
    try:
        images = msgspec.json.decode(result.stdout, type=list[_Tags]) if result.ok else []
    except msgspec.MsgspecError:
        return []
    return [tag for image in images for tag in reversed(image.tags)]


async def _query_briefly(host: Host, command: Command) -> CommandResult:
    return await query(host, command, timeout=QUERY_TIMEOUT_S)


class ContainerInstall(CommandSequence, kw_only=True, frozen=True, tag="container"):
    """A container of Docker or Podman.

    Attributes:
        name: the container; a template, for containers that are called after their node.
        image: the image without its tag, such as ``registry.example.com:5000/shop``.
        create: template of the shell command that creates the container, such as ``podman create
            --name {name} --network host {image}:{version}``; with `{name}` and `{image}`.
        engine: the program that runs it.
        engine_options: options before the command, such as ``--cgroup-manager=cgroupfs``.
        pull: fetch the image while the node is still serving.
    """

    name: NodeText
    image: InstallText
    create: CreateShell
    engine: Literal["docker", "podman"] = "docker"
    engine_options: NoText = ""
    pull: bool = True

    def install_commands(self, values: Mapping[str, str]) -> tuple[Command, ...]:
        """Return the commands for an existing container; `ContainerInstaller` runs those that are needed."""
        return (self.rename(values), self.create_command(values), self.remove_previous(values))

    def prefetch_commands(self, values: Mapping[str, str]) -> tuple[Command, ...]:
        return (self.wanted_image(values).pull_command(),) if self.pull else ()

    def undo_commands(self, values: Mapping[str, str]) -> tuple[Command, ...]:
        return (self.remove_new(values), self.rename_back(values))

    def wanted_image(self, values: Mapping[str, str]) -> Image:
        return Image(self.engine, self.engine_options, fill_plain(self.image, values), values["version"])

    def names(self, values: Mapping[str, str]) -> tuple[str, str]:
        """Return the container's name, and that of the one before it while the new one is made."""
        name = service_name(self.name, values)
        return name, f"{name}-previous"

    def call(self, *arguments: str) -> Command:
        return Command((self.engine, *shlex.split(self.engine_options), *arguments))

    def rename(self, values: Mapping[str, str]) -> Command:
        return self.call("rename", *self.names(values))

    def rename_back(self, values: Mapping[str, str]) -> Command:
        return self.call("rename", *reversed(self.names(values)))

    def create_command(self, values: Mapping[str, str]) -> Command:
        extra = {"name": self.names(values)[0], "image": self.wanted_image(values).name}
        return Command.shell(fill(self.create, {**values, **extra}))

    def remove_previous(self, values: Mapping[str, str]) -> Command:
        # Without force: a previous container that runs is not ours to kill.
        return self.call("rm", self.names(values)[1])

    def remove_new(self, values: Mapping[str, str]) -> Command:
        return self.call("rm", "-f", self.names(values)[0])


@dataclass(frozen=True, slots=True)
class ContainerInstaller(SequenceInstaller):
    """An Installer that can be run again after any interruption: it queries first what exists."""

    sequence: ContainerInstall

    async def install(self, version: str) -> None:
        """Set the old container aside, create the new one, remove the old one.

        Raises:
            Refused: an engine's command failed; the old container has its name back.
            UnknownOutcome: an answer was lost; nothing more was tried.
            Unreachable, UnreadableReply: the engine does not answer.
        """
        values = self._values_for(version)
        await self._set_aside(values)
        try:
            await self._create(version, values)
        except Refused as refused:
            await self._put_back(refused, values)
            raise
        if await self._exists(self.sequence.names(values)[1]):
            await self._execute(self.sequence.remove_previous(values), "remove the previous container")

    async def _find_obstacles(self, version: str) -> tuple[str, ...]:
        """Return obstacles, also a running container that has the name the old one is to get meanwhile."""
        found = await SequenceInstaller._find_obstacles(self, version)
        previous = self.sequence.names(self._values_for(version))[1]
        if await self._inspect(previous, "{{.State.Running}}") != "true":
            return found
        stop = self.host.render(self.sequence.call("stop", previous))
        obstacle = f"the container {previous} runs, and has the name that the old one gets; first run: {stop}"
        return (*found, obstacle)

    async def _list_versions(self) -> tuple[str, ...] | None:
        return await self.sequence.wanted_image({**self.values, "version": ANY_TAG}).list_tags(self.host)

    async def _look_for(self, values: Mapping[str, str]) -> Availability:
        return await self.sequence.wanted_image(values).find(self.host)

    async def _set_aside(self, values: Mapping[str, str]) -> None:
        """Rename the old container. One without a new one was renamed before an interruption."""
        name, previous = self.sequence.names(values)
        if not await self._exists(name):
            return
        if await self._exists(previous):
            await self._execute(self.sequence.remove_previous(values), f"remove {previous}")
        await self._execute(self.sequence.rename(values), f"rename {name}")

    async def _create(self, version: str, values: Mapping[str, str]) -> None:
        await self._execute(self.sequence.create_command(values), f"install {version}")
        name = self.sequence.names(values)[0]
        if not await self._exists(name):
            problem = f"install {version}: `create` made no container called {name}"
            raise Refused(self.host.name, problem)

    async def _put_back(self, refused: Refused, values: Mapping[str, str]) -> None:
        name, previous = self.sequence.names(values)
        try:
            if await self._exists(name):  # `run` instead of `create` can fail at starting it
                await self._execute(self.sequence.remove_new(values), f"remove {name}")
            if await self._exists(previous):
                await self._execute(self.sequence.rename_back(values), f"rename {previous} back")
        except Refused as second:
            problem = f"{refused.problem}; and {previous} is still set aside: {second.problem}"
            raise Refused(self.host.name, problem) from refused

    async def _exists(self, name: str) -> bool:
        return await self._inspect(name, "{{.Id}}") is not None

    async def _inspect(self, name: str, go_template: str) -> str | None:
        """Return the field of a container; None when there is no such container."""
        command = self.sequence.call(
            "inspect", "--type", "container", "--format", inspect_format(name, go_template), name
        )
        result = await query(self.host, command, timeout=self.timeout)
        if is_absent(result):
            return None
        if not result.ok:
            raise UnreadableReply(self.host.name, f"inspect {name}: {format_output(result)}")
        return result.stdout.strip()
