"""Installing with a command of the operator's own, and not installing at all."""

from collections.abc import Mapping

from backends.installers.recipe import Recipe
from backends.model import Command
from backends.template import fill


class CommandInstall(Recipe, kw_only=True, frozen=True, tag="command"):
    """Templates of shell commands.

    Attributes:
        run: installs `{version}`.
        prefetch: downloads it while the node is still serving; empty when there is nothing to do.
    """

    run: str
    prefetch: str = ""

    def install_commands(self, values: Mapping[str, str]) -> tuple[Command, ...]:
        return (Command.shell(fill(self.run, values)),)

    def prefetch_commands(self, values: Mapping[str, str]) -> tuple[Command, ...]:
        return (Command.shell(fill(self.prefetch, values)),) if self.prefetch else ()


class NoInstall(Recipe, kw_only=True, frozen=True, tag="none"):
    """Someone else installs; the version is only verified."""

    def install_commands(self, values: Mapping[str, str]) -> tuple[Command, ...]:
        return ()
