"""Pieces of HTML: the one way in which text from outside gets into the report."""

from collections.abc import Iterable, Sequence
from html import escape

from console.output.text import clean


def text(value: object) -> str:
    """Made harmless twice: nothing that a terminal or an editor would obey, nothing that is markup."""
    return escape(clean(str(value)), quote=True)


def tag(name: str, *inside: str, kind: str = "") -> str:
    """An element; what is inside is markup already.

    Args:
        name: of the element.
        inside: joined as it is.
        kind: its classes, words of ours.
    """
    classes = f' class="{kind}"' if kind else ""
    return f"<{name}{classes}>{''.join(inside)}</{name}>"


def table(header: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[str] = ()) -> str:
    """Cells are plain text. Columns named in `right` are numbers."""
    kinds = ["number" if title in right else "" for title in header]
    head = "".join(tag("th", text(title), kind=kind) for title, kind in zip(header, kinds, strict=True))
    lines = [
        tag("tr", *(tag("td", text(cell), kind=kind) for cell, kind in zip(row, kinds, strict=True)))
        for row in rows
    ]
    body = tag("thead", tag("tr", head)) + tag("tbody", "\n".join(lines))
    return tag("div", tag("table", body), kind="wide")
