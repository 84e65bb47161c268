"""The journal of a unit: which of its entries are read, and by which calls of journalctl."""

import re
import shlex
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass

import msgspec

from backends.command import Command
from backends.services.systemd_unit import parse_show
from backends.text import MAX_LAST_LINES, last_lines
from backends.untrusted import decode

_RESTARTED = "5eb03494b6584870a536b337290809b3"  # MESSAGE_ID of "Scheduled restart job"


class _Entry(msgspec.Struct):
    """An entry of the journal, as journalctl writes it: what is not UTF-8 is a list of bytes."""

    at_us: str = msgspec.field(default="0", name="__MONOTONIC_TIMESTAMP")
    message: str | list[int] | None = msgspec.field(default=None, name="MESSAGE")
    run: str | None = msgspec.field(default=None, name="_SYSTEMD_INVOCATION_ID")

    @property
    def text(self) -> str:
        if isinstance(self.message, list):
            return bytes(self.message).decode(errors="replace")
        return self.message or ""


@dataclass(frozen=True, slots=True)
class UnitJournal:
    """What journald has of one unit.

    Attributes:
        systemctl: how systemctl is called, such as ``sudo -n /bin/systemctl``; journalctl is called alike.
        name: the complete name of the unit; the journal knows no aliases.
        user: whether the unit belongs to a user's own systemd.
    """

    systemctl: str
    name: str
    user: bool

    def own_command(self) -> Command:
        """Return the command for the last lines that the unit's processes wrote, of whatever run."""
        own = "_SYSTEMD_USER_UNIT" if self.user else "_SYSTEMD_UNIT"
        return self._command(MAX_LAST_LINES, "json", "--all", f"{own}={self.name}")

    def parse_own(self, text: str, runs: Collection[str], started_us: int) -> tuple[str, ...]:
        """Return the last lines that these runs wrote.

        A process that ends at once is often gone before journald looks of which run it is (1 of 12 on a quiet
        machine): such lines count since `started_us`. Before systemd 245 the lines of a user's unit have
        the id of that user's systemd, so that none are of these runs.

        Args:
            text: the output of `own_command`.
            runs: the ids of the runs that count, or none for all.
            started_us: when these runs began, in microseconds of the monotonic clock; 0: not known.
        """
        lines: list[str] = []
        for line in text.split("\n"):  # some characters at which `splitlines` splits are in JSON as they are
            with suppress(ValueError):  # no entry
                entry = decode(line.encode(), _Entry)
                is_of_runs = entry.run in runs if entry.run else int(entry.at_us) >= started_us
                if runs and not is_of_runs:
                    lines.clear()
                else:
                    lines.append(entry.text)
        return last_lines("\n".join(lines))

    def whole_command(self) -> Command:
        """Return the command for the last lines about the unit, with what systemd itself wrote."""
        return self._command(MAX_LAST_LINES, "cat", *self._matches())

    def restart_command(self) -> Command:
        """Return the command for the last entry with which systemd decided to start the unit again."""
        by_systemd = ("--user-unit", self.name) if self.user else (f"UNIT={self.name}", "_UID=0")
        return self._command(1, "export", *by_systemd, f"MESSAGE_ID={_RESTARTED}")

    def parse_restart(self, text: str) -> str:
        """Return what the entry gives as the id of the run that had ended by then; empty if it gives none."""
        return parse_show(text).get("USER_INVOCATION_ID" if self.user else "INVOCATION_ID", "")

    def log_command(self, lines: int, *, follow: bool) -> Command:
        """Return the command that shows an operator the log, with what systemd itself says about the unit."""
        going_on = ("--follow",) if follow else ()
        options = ("--lines", str(lines), *going_on, "--no-hostname", "--no-pager")
        return Command((*journalctl(self.systemctl), *options, *self._matches()))

    def _command(self, lines: int, output: str, *more: str) -> Command:
        options = ("--lines", str(lines), "--output", output, "--no-pager", "--quiet")
        return Command((*journalctl(self.systemctl), *options, *more))

    def _matches(self) -> tuple[str, ...]:
        """Return the arguments for the journal of a unit, with what root's processes say about it.

        For that, `--unit` accepts process 1 only. A child of it that cannot become the service's program ends
        at once, often before journald has found out of which unit it is, and its reason would be missing.
        """
        if self.user:
            return ("--user-unit", self.name)  # accepts all processes of the user
        keys = ("UNIT", "OBJECT_SYSTEMD_UNIT", "COREDUMP_UNIT")
        of_root = (word for key in keys for word in ("+", f"{key}={self.name}", "_UID=0"))
        return (f"_SYSTEMD_UNIT={self.name}", *of_root)


def is_run(run: str) -> bool:
    """Return whether this is the id that systemd gives each run of a unit (`InvocationID`)."""
    return re.fullmatch("[0-9a-f]{32}", run) is not None


def unit_id(name: str) -> str:
    """Return the complete name of a unit, as systemctl completes it."""
    return name if name.endswith((".service", ".scope", ".socket", ".target")) else f"{name}.service"


def journalctl(systemctl: str) -> tuple[str, ...]:
    """Return the call of journalctl that matches a call of systemctl, such as ``sudo -n /bin/systemctl``."""
    *before, program = shlex.split(systemctl)
    folder, slash, name = program.rpartition("/")
    return (*before, f"{folder}{slash}journalctl") if name == "systemctl" else ("journalctl",)
