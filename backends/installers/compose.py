"""Upgrading one service of a compose file: its tag is replaced there, and its container created anew."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from backends.availability import Availability, Presence
from backends.errors import ConfigError, Refused
from backends.installers.compose_file import (
    LineEdit,
    check_tag,
    image_name,
    set_tag,
    set_variable,
    variables_file,
)
from backends.installers.images import Image
from backends.installers.recipe import Recipe, RecipeInstaller
from backends.model import Command
from backends.obstacles import command_obstacles
from backends.placeholders import InstallText, NodeText, NoText
from backends.services.names import service_name
from backends.template import check_words, fill_plain

MOST_BYTES = 128 * 1024  # of a compose file

# Written beside and moved over it: whoever reads the file finds the old one or the new one, never half.
_REPLACE_LINE = r"""
file=$(readlink -f -- "$1") && new=$file.rolldeck-new || exit 1
[ "$(sed -n -e "$2p" -- "$file")" = "$3" ] || { echo "line $2 of $1 is not what was read" >&2; exit 1; }
cp -p -- "$file" "$new" && LC_ALL=C sed -e "$2s/.*/$4/" -- "$file" >"$new" && mv -f -- "$new" "$file" ||
{ rm -f -- "$new"; exit 1; }"""


class ComposeInstall(Recipe, kw_only=True, frozen=True, tag="compose"):
    """One service of a compose file.

    Attributes:
        file: the compose file on the node.
        service: its name in the file.
        name: the container that compose makes of it, such as ``shop-web-1`` (``shop_web_1`` with compose 1).
        image: the image without its tag, to be fetched while the node is still serving; empty: it is not.
        command: how compose is called, with options, such as ``docker-compose``.
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
        """The edit depends on what stands in the file, which is not read for a plan."""
        key = f"services.{self.service_of(values)}.image"
        edit = f"# in {self.path(values)}: the tag of {key} becomes {check_tag(values['version'])}"
        return (Command.shell(edit), self.create_command(values))

    def prefetch_commands(self, values: Mapping[str, str]) -> tuple[Command, ...]:
        image = self.wanted_image(values)
        return (image.pull_command(),) if image else ()

    def wanted_image(self, values: Mapping[str, str]) -> Image | None:
        """None: the configuration does not name it."""
        if not self.image:
            return None
        name, tag = fill_plain(self.image, values), check_tag(values["version"])
        return Image(self.engine, self.engine_options, name, tag)

    def create_command(self, values: Mapping[str, str]) -> Command:
        """Only this service's container, and without a start: that is the next step's."""
        compose = (*shlex.split(self.command), "-f", self.path(values))
        return Command((*compose, "up", "--no-deps", "--no-start", self.service_of(values)))

    def path(self, values: Mapping[str, str]) -> str:
        return fill_plain(self.file, values)

    def service_of(self, values: Mapping[str, str]) -> str:
        return service_name(self.service, values)


@dataclass(frozen=True, slots=True)
class ComposeInstaller(RecipeInstaller):
    """An Installer that can be run again after any interruption: the line is changed once."""

    recipe: ComposeInstall

    async def install(self, version: str) -> None:
        """Replace the tag, and let compose create the container; without success the tag is put back.

        Raises:
            Refused: the file is not as expected or could not be changed, or compose failed.
            UnknownOutcome: an answer was lost; nothing more was tried.
            Unreachable, Unmeasured: the node could not be asked.
        """
        values = self._with(version)
        edit = await self._find_edit(version, values)
        await self._replace(edit, f"install {version}")
        try:
            await self._ask(self.recipe.create_command(values), f"install {version}")
        except Refused as refused:
            await self._put_back(refused, edit)
            raise

    async def _put_back(self, refused: Refused, edit: LineEdit) -> None:
        """What compose could not create is not left for whoever calls it next, or for a reboot."""
        back = LineEdit(edit.file, edit.number, edit.after, edit.before)
        try:
            await self._replace(back, "put the tag back")
        except Refused as second:
            problem = f"{refused.problem}; and {edit.file} has the new tag: {second.problem}"
            raise Refused(self.host.name, problem) from refused

    async def _replace(self, edit: LineEdit, what: str) -> None:
        if edit.before != edit.after:
            await self._ask(replace_command(edit), what)

    async def _find_edit(self, version: str, values: Mapping[str, str]) -> LineEdit:
        file, service = self.recipe.path(values), self.recipe.service_of(values)
        try:
            tag = check_tag(version)
            found = set_tag(await self.host.read_file(file, MOST_BYTES), file, service, tag)
            if isinstance(found, LineEdit):
                return found
            variables = variables_file(file)
            return set_variable(await self.host.read_file(variables, MOST_BYTES), variables, found, tag)
        except ConfigError as error:
            raise Refused(self.host.name, str(error)) from error

    async def _obstacles(self, version: str) -> tuple[str, ...]:
        """Also whether the tag could be set in the file as it is now."""
        values = self._with(version)
        try:
            edit = await self._find_edit(version, values)
        except Refused as refused:
            return (refused.problem,)
        commands = {"the edit": replace_command(edit), "install": self.recipe.create_command(values)}
        return await command_obstacles(self.host, commands, track=True, programs=True)

    async def _look_for(self, values: Mapping[str, str]) -> Availability:
        """By the image of the configuration, or by the name that stands in the file."""
        try:
            image = self.recipe.wanted_image(values) or await self._image_in_file(values)
        except ConfigError as error:
            return Availability(Presence.NOT_KNOWN, error.problem)
        if image is None:
            unknown = "its name in the compose file has variables, and install.image is not set"
            return Availability(Presence.NOT_KNOWN, unknown)
        return await image.find(self.host)

    async def _image_in_file(self, values: Mapping[str, str]) -> Image | None:
        recipe, file = self.recipe, self.recipe.path(values)
        name = image_name(await self.host.read_file(file, MOST_BYTES), file, recipe.service_of(values))
        if not name:
            return None
        return Image(recipe.engine, recipe.engine_options, name, check_tag(values["version"]))


def replace_command(edit: LineEdit) -> Command:
    """Replace one line of a file, which keeps its owner and mode; refuses when it is not as it was read."""
    after = edit.after.replace("\\", r"\\").replace("/", r"\/").replace("&", r"\&")
    return Command(("sh", "-c", _REPLACE_LINE, "sh", edit.file, str(edit.number), edit.before, after))
