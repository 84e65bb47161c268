"""Images of containers: whether a version can be had, from the node first and then from the registry."""

import re
import shlex
from dataclasses import dataclass

from backends.asking import look, words
from backends.availability import THERE, Availability, Presence, only_versions
from backends.base import Host
from backends.errors import ConfigError
from backends.installers.recipe import LOOK_TIMEOUT_S
from backends.model import Command, CommandResult

_NO_IMAGE = re.compile(r"no such image|image not known|failed to find image", re.IGNORECASE)
# Docker's own "no such manifest" also follows a registry that wants a password.
_REGISTRY_HAS_NONE = re.compile(
    r"manifest unknown|name unknown|manifest for \S+ not found|repository name not known", re.IGNORECASE
)
_REGISTRY_TIMEOUT_S = 15  # for one that does not answer
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
        """Whether the image is on the node."""
        return self._call("image", "inspect", "--format", "{{.Id}}", self.tagged)

    def tags_command(self) -> Command:
        """Its tags that are on the node, the newest first."""
        return self._call("image", "ls", "--format", "{{.Tag}}", self.name)

    def manifest_command(self) -> Command | None:
        """Whether the registry has it; nothing is pulled. None: no registry has images of this name."""
        if self.engine == "podman" and self.name.startswith("localhost/"):
            return None  # what Podman calls those that were built here
        ask = self._call("manifest", "inspect", self.tagged)
        return Command(("timeout", str(_REGISTRY_TIMEOUT_S), *ask.argv))

    async def find(self, host: Host) -> Availability:
        """On the node first, then in the registry: a creation too fetches what is not there."""
        local = await _query(host, self.find_command())
        if local.ok:
            return THERE
        if not _NO_IMAGE.search(words(local)):
            return Availability(Presence.NOT_KNOWN, words(local))
        tags = await _query(host, self.tags_command())
        others = only_versions(tags.stdout.split()) if tags.ok else ()
        command = self.manifest_command()
        if command is None:
            return Availability(Presence.NOT_THERE, "the node has no such image", others)
        registry = await _query(host, command)
        if registry.ok:
            return THERE
        said = words(registry)
        if _REGISTRY_HAS_NONE.search(said):
            missing = f"neither the node nor the registry has the image: {said}"
            return Availability(Presence.NOT_THERE, missing, others)
        return Availability(Presence.NOT_KNOWN, f"the registry could not be asked: {said}", others)

    def _call(self, *arguments: str) -> Command:
        return Command((self.engine, *shlex.split(self.engine_options), *arguments))


async def _query(host: Host, command: Command) -> CommandResult:
    return await look(host, command, timeout=LOOK_TIMEOUT_S)
