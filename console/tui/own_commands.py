"""Commands of the operator's own in the console: their keys, the question before them, and their output."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from textual.app import App
from textual.binding import Binding, BindingsMap
from textual.notifications import SeverityLevel
from textual.screen import Screen

from backends.errors import RolldeckError
from backends.hosts.local import LocalHost
from backends.local_machine import operator_environment
from backends.text import format_duration, visible
from console.config.own_commands import OwnCommandSettings
from console.tui.command_targets import CommandTargets, targets_of
from console.tui.node_shell import find_node
from orchestrator.session.operator_command import OperatorCommand, Outcome, run_command
from widgets.table.by_server import RowKey

if TYPE_CHECKING:
    from backends.protocols import Host

HERE = "here"

Lines = Mapping[RowKey, str]
"""The command for each server line."""


class OwnCommands:
    """Runs the commands of the configuration.

    Args:
        app: the console.
        commands: in the order of the configuration.
    """

    def __init__(self, app: App[Any], commands: Sequence[OwnCommandSettings] = ()) -> None:
        self._app = app
        self.commands = tuple(commands)
        self._here = LocalHost(HERE, environment=operator_environment)

    def _bindings(self) -> list[Binding]:
        """Return the bindings of their keys."""
        return [
            Binding(
                command.key,
                f"app.own_command({index})",
                visible(command.title),
                id=f"command-{index}",
                tooltip=f"{visible(command.run)} ({'on the node' if command.where == 'node' else 'here'})",
                show=False,
            )
            for index, command in enumerate(self.commands)
        ]

    def bind(self, file: str) -> None:
        """Give the console the keys of the commands.

        Raises:
            ConfigError: a key that is none, or that does something else already.
        """
        if not self.commands:
            return
        from console.tui.keymap import check_command_keys

        keys, everywhere = [command.key for command in self.commands], [own for _, own in self._app._bindings]
        check_command_keys(keys, self._app._keymap, file, everywhere)
        for key, binding in BindingsMap(self._bindings()):
            self._app._bindings.key_to_bindings.setdefault(key, []).append(binding)

    def may_run(self, index: int, screen: Screen[Any] | None = None) -> bool:
        """Return whether a command may be run on a screen, by default on that in front."""
        targets = targets_of(screen or self._app.screen)
        return targets is not None and (not targets.read_only or self.commands[index].read_only)

    async def run(self, index: int, targets: CommandTargets | None) -> None:
        """Run a command for these server lines, one after the other, after a question where it asks."""
        command = self.commands[index]
        if targets is None:
            return
        if targets.read_only and not command.read_only:
            why = f"{targets.read_only}; only commands with read_only = true run here"
            self._notify(f"{command.title}: {why}", "warning")
            return
        try:
            lines = {key: command.line(targets.values(key)) for key in targets.keys}
        except RolldeckError as error:
            self._notify(f"{command.title}: {error}", "error")
            return
        if lines and (not command.asks or await self._ask(command, targets, lines)):
            if command.show == "pane":
                await self._run_in_pane(command, targets, lines)
            else:
                for key, line in lines.items():
                    outcome = await self._run_one(command, targets, key, line)
                    self._say_end(command, targets.name(key), outcome)

    async def _ask(self, command: OwnCommandSettings, targets: CommandTargets, lines: Lines) -> bool:
        from widgets.dialogs.modal import Confirm

        where = "On the node" if command.where == "node" else "On this machine"
        shown = [f"{where}: {visible(line)}" for line in lines.values()]
        choices = [("no", "Cancel", "default"), ("yes", "Run", "warning")]
        names = ", ".join(dict.fromkeys(map(targets.name, lines)))
        dialog = Confirm(f"{visible(command.title)}: {visible(names)}", shown, choices)
        return await self._app.push_screen_wait(dialog) == "yes"

    async def _run_in_pane(self, command: OwnCommandSettings, targets: CommandTargets, lines: Lines) -> None:
        from console.tui.screens.command_output import CommandOutput

        async def run(pane: CommandOutput) -> None:
            for key, line in lines.items():
                pane.begin(targets.name(key), line)
                pane.end(self._describe(await self._run_one(command, targets, key, line, pane.add)))

        await self._app.push_screen_wait(CommandOutput(command.title, run))

    async def _run_one(
        self,
        command: OwnCommandSettings,
        targets: CommandTargets,
        key: RowKey,
        line: str,
        show: Callable[[Sequence[str]], None] | None = None,
    ) -> Outcome:
        name = targets.name(key)
        node = find_node(targets.session, name)
        host: Host | None = self._here if command.where == HERE else node.host if node is not None else None
        if host is None:
            return Outcome(error="it is a server of HAProxy, and no node that Rolldeck knows")
        work = OperatorCommand(command.title, [name], command.where, line)
        try:
            return await run_command(targets.session, host, work, command.timeout, show)
        except RolldeckError as error:  # of the journal: what is not recorded is not run
            return Outcome(error=str(error))

    @staticmethod
    def _describe(outcome: Outcome) -> str:
        return outcome.error or f"done in {format_duration(outcome.duration_s)}"

    def _say_end(self, command: OwnCommandSettings, name: str, outcome: Outcome) -> None:
        last = f": {outcome.output[-1]}" if outcome.error and outcome.output else ""
        text = f"{name}: {command.title}: {self._describe(outcome)}{last}"
        self._notify(text, "error" if outcome.error else "information")

    def _notify(self, text: str, severity: SeverityLevel) -> None:
        self._app.notify(visible(text), severity=severity, markup=False, timeout=8)
