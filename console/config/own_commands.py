"""The `[[commands]]` tables: commands of the operator's own, which keys of the console run."""

from collections.abc import Mapping
from typing import Literal

import msgspec

from backends.errors import ConfigError
from backends.templates import PLACEHOLDER, check_value, fill
from backends.text import suggest

FIELDS = ("app", "node", "address", "port", "backend", "server", "version", "service")
"""What is filled in."""
MAX_TITLE_CHARS = 40


class OwnCommandSettings(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """One `[[commands]]` table.

    Attributes:
        key: that runs it, in the main view and on the page of a node.
        title: what it is called in help, palette and journal.
        run: a shell command with names in braces, see `FIELDS`; each value is quoted.
        where: "here" runs it on this machine, "node" on the node, as other commands there.
        confirm: whether it asks before it runs; by default all do that are not `read_only`.
        show: "pane" shows the output, "none" only how it ended.
        timeout: seconds, after which it is ended.
        read_only: it changes nothing, so that a console that may change nothing has it, too.
    """

    key: str
    title: str
    run: str
    where: Literal["here", "node"] = "here"
    confirm: bool | None = None
    show: Literal["pane", "none"] = "pane"
    timeout: float = 60.0
    read_only: bool = False

    def __post_init__(self) -> None:
        if not self.title.strip() or len(self.title) > MAX_TITLE_CHARS or not self.title.isprintable():
            raise ValueError(
                f"title: found {self.title[:80]!r}, expected 1 to {MAX_TITLE_CHARS} printable characters"
            )
        if not self.run.strip():
            raise ValueError("run: found an empty text, expected a command")
        if not 0 < self.timeout <= 86_400:
            raise ValueError(f"timeout: found {self.timeout:g}, expected up to 86400 seconds")
        for found in PLACEHOLDER.finditer(self.run):
            if found[1] not in FIELDS:
                names = ", ".join(f"{{{name}}}" for name in FIELDS)
                hint = suggest(found[1], FIELDS)
                raise ValueError(
                    f"run: found {found[0]}, which is not defined; {hint}expected one of: {names}"
                )

    @property
    def asks(self) -> bool:
        """Whether it asks before it runs."""
        return not self.read_only if self.confirm is None else self.confirm

    def line(self, values: Mapping[str, str]) -> str:
        """Return the command with these values, each one word of it.

        Quoting alone would not do where somebody has put quotes around a name: what a node calls its version,
        or HAProxy its server, must not be read by the shell in any place.

        Raises:
            ConfigError: a value that it needs is not known, or has characters that a shell might read.
        """
        for found in PLACEHOLDER.finditer(self.run):
            value = values.get(found[1], "")
            if not value:
                raise ConfigError("", f"{{{found[1]}}}", "is not known here, and the command needs it")
            check_value(f"{{{found[1]}}}", value)
        return fill(self.run, values)
