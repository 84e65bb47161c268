"""The page of a node's detail, section after section, and the same as text to be copied."""

from bisect import bisect_right
from dataclasses import dataclass

from rich.cells import cell_len

from backends.text import visible
from widgets.detail_columns import checks, state
from widgets.detail_model import Detail
from widgets.detail_sections import journal, ownership, sessions, trouble
from widgets.pieces import Piece, cut
from widgets.server_columns import LONGEST

WIDE = 160  # cells of a line in what is copied


@dataclass(frozen=True, slots=True)
class Page:
    """Lines, and where each section begins; in the order in which they stand."""

    lines: list[list[Piece]]
    starts: dict[str, int]

    def place(self, line: int) -> tuple[str, int]:
        """The section in which a line stands, and how far below its beginning."""
        names, starts = list(self.starts), list(self.starts.values())
        index = bisect_right(starts, line) - 1
        return (names[index], line - starts[index]) if index >= 0 else ("", line)


def page(detail: Detail, width: int) -> Page:
    """Everything, for so many cells."""
    return _joined({**_above(detail, width), "journal": journal(detail, width)})


def as_text(detail: Detail) -> str:
    """Everything, to be pasted somewhere; lines of the journal are whole."""
    above = _joined({"title": [title(detail, "", 0)], **_above(detail, WIDE)}).lines
    lines = ["".join(text for text, _ in line).rstrip() for line in above]
    return "\n".join([*lines, "", *map(str, detail.journal), ""])


def _above(detail: Detail, width: int) -> dict[str, list[list[Piece]]]:
    """What stands above the journal."""
    sections: dict[str, list[list[Piece]]] = {}
    if wrong := trouble(detail, width):
        sections["trouble"] = wrong
    for key in detail.keys:
        sections[f"state {key}"] = state(detail, key, width)
    sections["owner"] = ownership(detail, width)
    for key in detail.keys:
        sections[f"checks {key}"] = checks(detail, key, width)
    sections["sessions"] = sessions(detail, width)
    return sections


def _joined(sections: dict[str, list[list[Piece]]]) -> Page:
    """One below the other, with a line of space before each but the first, and before the owner."""
    lines: list[list[Piece]] = []
    starts = {}
    for name, own in sections.items():
        if lines and own and name != "owner":
            lines.append([])
        starts[name] = len(lines)
        lines += own
    return Page(lines, starts)


def title(detail: Detail, clock_text: str, width: int) -> list[Piece]:
    """The node, its version, and a mark for each load balancer; the time on the right."""
    names = ", ".join(key[0] if key[1] == detail.node else "/".join(key) for key in detail.keys)
    left: list[Piece] = [
        (f" {cut(detail.node[:LONGEST], 40)}", "head"),
        (f"  {visible(names[:LONGEST])}", "quiet"),
    ]
    left += [(f"  {visible(detail.version[:LONGEST])}", "plain")] if detail.version else []
    right: list[Piece] = []
    for each in detail.view.instances:
        mark, kind = _mark(detail, each.name)
        right += [(f"{cut(each.name[:LONGEST], 12)} ", "plain"), (mark, kind), ("  ", "plain")]
    right.append((f" {clock_text} ", "plain"))
    room = width - sum(cell_len(text) for text, _ in right)
    used = sum(cell_len(text) for text, _ in left)
    if used > room > 0:
        left = [(cut("".join(text for text, _ in left), room), "head")]
        used = cell_len(left[0][0])
    return [*left, (" " * max(2, room - used), "plain"), *right]


def _mark(detail: Detail, name: str) -> Piece:
    """As in the table: in rotation in every backend, not, or not known."""
    seen = [(instance, server) for instance, server in detail.lines() if instance.name == name]
    if not seen or any(instance.state != "live" for instance, _ in seen):
        return "?", "moving"
    if all(server.in_rotation for _, server in seen):
        return "✓", "ok"
    return "✗", "plain"
