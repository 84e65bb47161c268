"""Load balancers side by side: as many columns as fit, the others in groups below; none is left out."""

from collections.abc import Callable, Sequence

from rich.cells import cell_len

from backends.haproxy.columns import Name
from backends.model import Server
from backends.text import visible
from orchestrator.live.poller import InstanceView
from widgets.detail.model import Detail
from widgets.detail.rows import CHECKS, ROWS, Cell
from widgets.segments import Piece, cut
from widgets.table.columns import LONGEST, NONE, fit

LABEL = 11  # cells before the columns
NARROWEST, WIDEST = 30, 56  # cells of a column


def state(detail: Detail, name: Name, width: int) -> list[list[Piece]]:
    """How a server stands on each load balancer."""
    lines: list[list[Piece]] = []
    for group, wide in _groups(detail, width):
        lines += [[]] if lines else []
        lines.append(_titles(detail, name, group, wide))
        lines += [_row(label, cell, name, group, wide) for label, cell in ROWS]
    return lines


def checks(detail: Detail, name: Name, width: int) -> list[list[Piece]]:
    """What the last checks said on each load balancer, below its state; with their names only if need be."""
    lines: list[list[Piece]] = []
    groups = _groups(detail, width)
    agents = any(server.agent_configured for _, server in detail.lines())
    for group, wide in groups:
        if len(groups) > 1 or len(detail.keys) > 1:
            named: list[Piece] = [(" " + fit("" if lines else name[0][:LONGEST], LABEL), "quiet")]
            lines.append(named + [(fit(cut(each.name[:LONGEST], wide - 1), wide), "quiet") for each in group])
        rows = CHECKS if agents else CHECKS[:-1]
        lines += [_row(label, cell, name, group, wide) for label, cell in rows]
    return lines


def _groups(detail: Detail, width: int) -> list[tuple[Sequence[InstanceView], int]]:
    instances = detail.view.instances
    room = width - 1 - LABEL
    across = max(1, min(len(instances), room // NARROWEST))
    # Alike: of four that do not fit, two and two and not three and one.
    rows = max(1, -(-len(instances) // across))
    across = max(1, -(-len(instances) // rows))
    wide = max(1, min(WIDEST, room // across))
    return [(instances[first : first + across], wide) for first in range(0, len(instances), across)]


def _titles(detail: Detail, name: Name, group: Sequence[InstanceView], wide: int) -> list[Piece]:
    line: list[Piece] = [(" " + fit(name[0][:LONGEST], LABEL - 1) + " ", "head")]
    for each in group:
        words, kind = detail.connection(each)
        version = each.info.version.partition("-")[0] if each.info is not None else ""
        # The state first: a long name must not push it out.
        title = cut(each.name[:LONGEST], max(4, wide - 2 - cell_len(words)))
        line += _fitted([(title, "head"), (" " + words, kind), ("  " + version, "quiet")], wide)
    return line


def _row(
    label: str,
    cell: Callable[[Server, InstanceView], Cell],
    name: Name,
    group: Sequence[InstanceView],
    wide: int,
) -> list[Piece]:
    line: list[Piece] = [(" " + fit(label, LABEL), "quiet")]
    for instance in group:
        server = instance.server(name)
        if server is None:
            pieces = _absent(label, instance)
        elif instance.state == "live":
            pieces = cell(server, instance)
        else:  # never in the colours of what is true now
            pieces = [("".join(text for text, _ in cell(server, instance)), "quiet")]
        line += _fitted(pieces, wide)
    return line


def _absent(label: str, instance: InstanceView) -> Cell:
    if label != ROWS[0][0]:
        return [(NONE, "quiet")]
    return [("unknown here" if instance.state == "live" else "no answer yet", "moving")]


def _fitted(pieces: Cell, wide: int) -> Cell:
    """Exactly so many cells; the last one is always free."""
    result: Cell = []
    left = wide - 1
    for text, kind in pieces:
        if not text or left <= 0:
            continue
        shown = cut(text[:LONGEST], left) if cell_len(visible(text[:LONGEST])) > left else visible(text)
        result.append((shown, kind))
        left -= cell_len(shown)
    return [*result, (" " * (left + 1), "plain")]
