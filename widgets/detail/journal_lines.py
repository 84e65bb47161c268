"""The journal on the page of a node: entries of the journal on disk, and the commands of this console."""

from backends.text import format_local_time, visible
from widgets.detail.balancer_table import LABEL_CELLS
from widgets.detail.model import Detail
from widgets.segments import MAX_CELL_CHARS, Segment, fit, truncate, wrap_beside
from widgets.transcript import MARKS, Line

MAX_ROWS_PER_LINE = 3  # of one line of the journal
WHAT_CELLS = 24
RESULT_CELLS = 11
_JOURNAL_KINDS = {"command": "head", "failed": "bad", "bad": "bad", "reply": "plain", "event": "quiet"}


def list_entries(detail: Detail, width: int) -> list[list[Segment]]:
    """Return who did what on the node, when and why, newest first, also from other consoles and commands."""
    title: list[Segment] = [(" " + fit("Journal", LABEL_CELLS), "head")]
    if detail.unread:
        return wrap_beside(title, detail.unread, "bad", width)
    if not detail.entries:
        return [[*title, ("nothing about this node", "quiet")]]
    lines = [[*title, ("newest first; by any console or command on this machine", "quiet")]]
    for entry in detail.entries:
        head: list[Segment] = [
            (f" {format_local_time(entry.at, '%d %b %H:%M')}  {fit(f'#{entry.id}', 6)}", "quiet"),
            (f" {fit(entry.what, WHAT_CELLS)}", "plain"),
            (" " + fit(entry.result, RESULT_CELLS), "bad" if entry.is_bad else "ok"),
        ]
        lines.append([*head, (visible(entry.operator[:MAX_CELL_CHARS]), "quiet")])
        below: list[Segment] = [(" " * (LABEL_CELLS + 12), "plain")]
        if entry.reason:
            lines += wrap_beside(below, f'"{entry.reason[: 2 * MAX_CELL_CHARS]}"', "plain", width)
        if entry.error:
            lines += wrap_beside(below, entry.error[: 2 * MAX_CELL_CHARS], "bad", width)
    return lines


def list_journal(detail: Detail, width: int) -> list[list[Segment]]:
    """Return commands, replies and events as in the transcript, newest last."""
    title: list[Segment] = [(" " + fit("Commands", LABEL_CELLS), "head")]
    if not detail.journal:
        return [[*title, ("none since the console opened", "quiet")]]
    lines = [[*title, ("> sent, < the raw reply,   happened, ✗ failed; newest last", "quiet")]]
    return lines + [row for line in detail.journal for row in _journal_line(line, width)]


def _journal_line(line: Line, width: int) -> list[list[Segment]]:
    size = 8 if width < 100 else 14
    head = " " * (18 + size)
    if line.kind != "reply":
        head = f" {line.time:<8} {line.step:<7} {fit(truncate(line.target[:MAX_CELL_CHARS], size), size)}"
    kind = _JOURNAL_KINDS[line.kind]
    segments: list[Segment] = [(head, "quiet"), (MARKS[line.kind] + " ", kind)]
    # Of a line of 10 kB only the beginning: all of it is in the transcript, and in what is copied.
    rows = wrap_beside(segments, line.text[: (MAX_ROWS_PER_LINE + 1) * width], kind, width)
    if len(rows) > MAX_ROWS_PER_LINE:
        rows = [*rows[: MAX_ROWS_PER_LINE - 1], [*rows[MAX_ROWS_PER_LINE - 1], ("…", "quiet")]]
    return rows
