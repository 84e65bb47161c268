"""Load balancers side by side: as many columns as fit, the others in groups below; none is left out."""

from collections.abc import Callable, Sequence

from rich.cells import cell_len

from backends.haproxy.columns import Name
from backends.model import Server
from backends.text import visible
from orchestrator.live.poller import InstanceView
from widgets.detail.model import Detail
from widgets.detail.rows import CHECKS, ROWS, Cell
from widgets.segments import Segment, truncate
from widgets.table.columns import MAX_CELL_CHARS, NO_VALUE, fit

LABEL_CELLS = 11  # cells before the columns
NARROWEST, WIDEST = 30, 56  # cells of a column


def build_state(detail: Detail, name: Name, width: int) -> list[list[Segment]]:
    """How a server stands on each load balancer."""
    lines: list[list[Segment]] = []
    for group, wide in _groups(detail, width):
        lines += [[]] if lines else []
        lines.append(_titles(detail, name, group, wide))
        lines += [_row(label, cell, name, group, wide) for label, cell in ROWS]
    return lines


def build_checks(detail: Detail, name: Name, width: int) -> list[list[Segment]]:
    """What the last checks said on each load balancer, below its state; with their names only if need be."""
    lines: list[list[Segment]] = []
    groups = _groups(detail, width)
    agents = any(server.agent_configured for _, server in detail.lines())
    for group, wide in groups:
        if len(groups) > 1 or len(detail.keys) > 1:
            named: list[Segment] = [
                (" " + fit("" if lines else name[0][:MAX_CELL_CHARS], LABEL_CELLS), "quiet")
            ]
            lines.append(
                named
                + [
                    (fit(truncate(instance.name[:MAX_CELL_CHARS], wide - 1), wide), "quiet")
                    for instance in group
                ]
            )
        rows = CHECKS if agents else CHECKS[:-1]
        lines += [_row(label, cell, name, group, wide) for label, cell in rows]
    return lines


def _groups(detail: Detail, width: int) -> list[tuple[Sequence[InstanceView], int]]:
    instances = detail.view.instances
    room = width - 1 - LABEL_CELLS
    across = max(1, min(len(instances), room // NARROWEST))
    # Alike: of four that do not fit, two and two and not three and one.
    rows = max(1, -(-len(instances) // across))
    across = max(1, -(-len(instances) // rows))
    wide = max(1, min(WIDEST, room // across))
    return [(instances[first : first + across], wide) for first in range(0, len(instances), across)]


def _titles(detail: Detail, name: Name, group: Sequence[InstanceView], wide: int) -> list[Segment]:
    line: list[Segment] = [(" " + fit(name[0][:MAX_CELL_CHARS], LABEL_CELLS - 1) + " ", "head")]
    for instance in group:
        words, kind = detail.connection(instance)
        version = instance.info.version.partition("-")[0] if instance.info is not None else ""
        # The state first: a long name must not push it out.
        title = truncate(instance.name[:MAX_CELL_CHARS], max(4, wide - 2 - cell_len(words)))
        line += _fitted([(title, "head"), (" " + words, kind), ("  " + version, "quiet")], wide)
    return line


def _row(
    label: str,
    cell: Callable[[Server, InstanceView], Cell],
    name: Name,
    group: Sequence[InstanceView],
    wide: int,
) -> list[Segment]:
    line: list[Segment] = [(" " + fit(label, LABEL_CELLS), "quiet")]
    for instance in group:
        server = instance.server(name)
        if server is None:
            segments = _absent(label, instance)
        elif instance.state == "live":
            segments = cell(server, instance)
        else:  # never in the colours of what is true now
            segments = [("".join(text for text, _ in cell(server, instance)), "quiet")]
        line += _fitted(segments, wide)
    return line


def _absent(label: str, instance: InstanceView) -> Cell:
    if label != ROWS[0][0]:
        return [(NO_VALUE, "quiet")]
    return [("unknown here" if instance.state == "live" else "no answer yet", "moving")]


def _fitted(segments: Cell, wide: int) -> Cell:
    """Exactly so many cells; the last one is always free."""
    result: Cell = []
    left = wide - 1
    for text, kind in segments:
        if not text or left <= 0:
            continue
        shown = (
            truncate(text[:MAX_CELL_CHARS], left)
            if cell_len(visible(text[:MAX_CELL_CHARS])) > left
            else visible(text)
        )
        result.append((shown, kind))
        left -= cell_len(shown)
    return [*result, (" " * (left + 1), "plain")]
