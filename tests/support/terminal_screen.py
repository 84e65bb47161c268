"""The screen of a terminal, emulated as far as Textual uses it, to check that a screen is right."""

import codecs
import re

from console.terminal.output import width

_SEQUENCE = re.compile(
    r"\x1b\[(?P<arguments>[0-?]*)[ -/]*(?P<final>[@-~])"  # CSI: moves, colors, modes
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"  # OSC: title, clipboard, shape of the pointer
    r"|\x1b[^\[\]]"
)
CURSOR, WRAP, OTHER_SCREEN = "?25", "?7", "?1049"
_CANCEL = "\x18"  # ends a sequence in its middle


class TerminalScreen:
    """Takes what a program writes, in pieces of any size.

    Attributes:
        modes: private modes that are on, such as `?1049`.
        calls: what calls an operator, such as `\\x07` or `]2;Rolldeck`, in its order.
        unknown: sequences that are none of those that Textual writes; half of one would be among them.
    """

    def __init__(self, columns: int, lines: int) -> None:
        self._columns, self._lines = columns, lines
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._rest = ""
        self._x = self._y = 0
        self._saved = 0, 0  # the place of the cursor, while another screen is there
        self.modes = {WRAP, CURSOR}
        self.calls: list[str] = []
        self.unknown: list[str] = []
        self._clear()

    def resize(self, columns: int, lines: int) -> None:
        """Empty at first: it is on the program to paint it."""
        self._columns, self._lines = columns, lines
        self._clear()

    def _clear(self) -> None:
        self._cells = [[" "] * self._columns for _ in range(self._lines)]

    @property
    def text(self) -> str:
        return "\n".join("".join(row).rstrip() for row in self._cells)

    def feed(self, chunk: bytes) -> None:
        text = self._rest + self._decode(chunk)
        self._rest = ""
        at = 0
        while at < len(text):
            if text[at] == "\x1b":
                found = _SEQUENCE.match(text, at)
                cancelled = text.find(_CANCEL, at)
                if cancelled >= 0 and (found is None or cancelled < found.end()):
                    at = cancelled + 1
                    continue
                if found is None:
                    self._rest = text[at:]  # its end is yet to come
                    return
                self._obey(found)
                at = found.end()
            else:
                self._put(text[at])
                at += 1

    def _obey(self, sequence: re.Match[str]) -> None:
        arguments, final = sequence["arguments"], sequence["final"]
        match final:
            case "H":
                line, _, column = (arguments or "1;1").partition(";")
                self._y, self._x = int(line or 1) - 1, int(column or 1) - 1
            case "h" | "l" if arguments.startswith("?"):
                for mode in arguments[1:].split(";"):
                    self._switch(f"?{mode}", on=final == "h")
            case "K":
                self._erase(arguments)
            case "t":  # the title is saved or put back
                self.calls.append(sequence[0][1:])
            case None if sequence[0].startswith("\x1b]"):
                self.calls.append(sequence[0][1:].rstrip("\x07\x1b\\"))
            case "m" | "u" | "p" | "q" | None:
                pass
            case _:
                self.unknown.append(sequence[0])

    def _switch(self, mode: str, *, on: bool) -> None:
        if mode == OTHER_SCREEN and on != (mode in self.modes):
            self._saved, (self._x, self._y) = (self._x, self._y), self._saved
            self._clear()
        (self.modes.add if on else self.modes.discard)(mode)

    def _erase(self, arguments: str) -> None:
        first = 0 if arguments == "2" else self._x
        if self._y < self._lines:
            self._cells[self._y][first:] = [" "] * (self._columns - first)

    def _put(self, character: str) -> None:
        match character:
            case "\r":
                self._x = 0
            case "\n":
                self._next_line()
            case "\a":
                self.calls.append(character)
            case _ if character < " " or character == "\x7f":
                pass
            case _:
                columns = width(character)
                if WRAP in self.modes and self._x + columns > self._columns:
                    self._x = 0
                    self._next_line()
                if columns and self._y < self._lines and self._x + columns <= self._columns:
                    self._cells[self._y][self._x : self._x + columns] = [character, *[""] * (columns - 1)]
                self._x += columns

    def _next_line(self) -> None:
        self._y += 1
        if self._y >= self._lines:
            self._cells = [*self._cells[1:], [" "] * self._columns]
            self._y = self._lines - 1
