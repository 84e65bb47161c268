"""Installing with a command of the operator's own, and not installing at all."""

import shlex
from collections.abc import Mapping
from dataclasses import replace

from backends.availability import THERE, Availability, Presence
from backends.command import Command, CommandResult
from backends.hosts.execution import format_output
from backends.installers.common import CommandSequence
from backends.templates import InstallShell, fill

EXISTS_TIMEOUT_S = 20  # for `exists`
_TIMEOUT_EXIT_STATUS = "124"  # of timeout(1)
_STATUS = "rolldeck: exit status "


class CommandInstall(CommandSequence, kw_only=True, frozen=True, tag="command"):
    """Templates of shell commands.

    Attributes:
        run: installs `{version}`.
        prefetch: downloads it while the node is still serving; empty when there is nothing to do.
        exists: exits with 0 when `{version}` can be had, after `prefetch` if there is one, and with 1 when it
            cannot. Any other exit status, or no end within `EXISTS_TIMEOUT_S`, tells nothing. It must change
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
        # on the node, so that no hung one is left there by each look.
        script = f"timeout {EXISTS_TIMEOUT_S} sh -c {shlex.quote(fill(self.exists, values))}"
        return Command.shell(f"{script}; printf '\\n{_STATUS}%s\\n' $?")

    def read_availability(self, result: CommandResult, values: Mapping[str, str]) -> Availability:
        before, mark, status = result.stdout.rpartition(f"\n{_STATUS}")
        if not mark:
            return Availability(Presence.NOT_KNOWN, f"`exists` was not run: {format_output(result)}")
        if status.strip() == "0":
            return THERE
        said = format_output(replace(result, stdout=before))
        if status.strip() == "1":
            return Availability(Presence.NOT_THERE, f"`exists` says so: {said}")
        if status.strip() == _TIMEOUT_EXIT_STATUS:
            return Availability(Presence.NOT_KNOWN, f"`exists` did not end within {EXISTS_TIMEOUT_S} s")
        expected = "expected 0 (it can be had) or 1 (it cannot)"
        return Availability(Presence.NOT_KNOWN, f"`exists`: exit status {status.strip()}, {expected}: {said}")

    def availability_unknown(self) -> str:
        return "no `exists` command is configured in its install table"


class NoInstall(CommandSequence, kw_only=True, frozen=True, tag="none"):
    """Someone else installs; the version is only verified."""

    def install_commands(self, values: Mapping[str, str]) -> tuple[Command, ...]:
        return ()

    def availability_unknown(self) -> str:
        return "it is installed by other means"
