"""Names of nodes and backends in a column: in full where there is room, and never two of them alike."""

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from string import digits

from rich.cells import cell_len, set_cell_size

from backends.text import visible

ELLIPSIS = "…"
MIN_NAME_CELLS = 6  # in a narrower column thousands of names cannot be told apart
_MAX_CHARS = 512  # of a name: no screen shows more, and some servers send 10 kB
_MAX_CUTS = 8  # places that are tried for a cut where names have nothing in common
_TOKENS = re.compile(r"[0-9]+|[^\W\d_]+|[\W_]+")


class NameSet:
    """Names that stand below each other; the short form of each is computed once for each width.

    Args:
        names: all of them, also those that are not in sight, so that a filter moves nothing.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        self.names = frozenset(names)
        self._short: dict[int, Mapping[str, str]] = {}

    @cached_property
    def cells(self) -> int:
        """The width of the longest name."""
        return max((cell_len(_printable(name)) for name in self.names), default=0)

    def shorten(self, name: str, width: int) -> str:
        """Return a name in at most `width` cells, distinct from all other names of the set."""
        if width not in self._short:
            self._short[width] = shorten_names(self.names, width)
        return self._short[width].get(name, name)


@dataclass(frozen=True, slots=True)
class TableNames:
    """All names that the rows of a table have, shown or not."""

    nodes: NameSet = field(default_factory=NameSet)
    backends: NameSet = field(default_factory=NameSet)


def shorten_names(names: Collection[str], width: int) -> dict[str, str]:
    """Return each name in at most `width` cells, in full if it fits; different names stay different.

    A cut is made in the middle of what the long names have in common: before or behind what differs, or
    between two parts that do.

    Args:
        names: any texts.
        width: in cells, at least `MIN_NAME_CELLS`.
    """
    printable = {name: _printable(name) for name in sorted(names)}
    short = _shorten(frozenset(printable.values()), width)
    return _number_duplicates({name: short[text] for name, text in printable.items()}, width)


def _printable(name: str) -> str:
    """Return a name as it can be shown; of one that fills screens, its beginning and its end."""
    if len(name) > _MAX_CHARS:
        name = f"{name[: _MAX_CHARS // 2]}{ELLIPSIS}{name[-_MAX_CHARS // 2 :]}"
    return visible(name)


def _shorten(texts: Collection[str], width: int) -> Mapping[str, str]:
    """Return the short form of each text; two are the same only where no cut tells them apart."""
    long = [text for text in texts if cell_len(text) > width]
    short: dict[str, str] = {}
    for cut in _cuts(long, width) if long else ():
        short = {text: cut(text) for text in texts}
        if len(set(short.values())) == len(short) and all(cell_len(text) <= width for text in short.values()):
            break
    else:
        short = {text: _cut_middle(text, width, width // 2) for text in texts}
    return short


def _cuts(long: Sequence[str], width: int) -> Iterator[Callable[[str], str]]:
    """Yield ways of cutting, the best first."""
    excess = max(map(cell_len, long)) - width
    prefix = _find_common_prefix(long)
    suffix = _find_common_prefix([text[len(prefix) :][::-1] for text in long])[::-1]
    prefix, suffix = prefix.rstrip(digits), suffix.lstrip(digits)  # a number stays whole
    middle = _find_common_middle(long)
    parts = sorted((prefix, middle, suffix), key=len, reverse=True)
    for part in parts:
        if len(part) > excess:
            yield _PartCut(
                part, excess, at="start" if part is prefix else "end" if part is suffix else "middle"
            )
    if len(prefix) > 1 and len(suffix) > 1:
        outer = _PartCut(suffix, len(suffix) - 1, at="end")
        rest = excess - len(suffix) + 1
        if 0 < rest < len(prefix):
            inner = _PartCut(prefix, rest, at="start")
            yield lambda text: inner(outer(text))
    room = width - 1
    for step in range(_MAX_CUTS):
        # The end is the best part to see, as it often is a number; then what is before it.
        head = room // 2 + (step + 1) // 2 * (1 if step % 2 else -1) * max(1, room // _MAX_CUTS)
        if 0 <= head <= room:
            yield _MiddleCut(width, head)


def _find_common_prefix(texts: Sequence[str]) -> str:
    first, last = min(texts), max(texts)
    return next((first[:at] for at, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), first)


def _find_common_middle(long: Sequence[str]) -> str:
    """Return the longest text between two parts that differ; nothing where names are not built alike."""
    tokens = [_TOKENS.findall(text) for text in long]
    if len(long) < 2 or len(set(map(len, tokens))) != 1:
        return ""
    best = current = ""
    for column in zip(*tokens, strict=True):
        current = current + column[0] if len(set(column)) == 1 else ""
        best = max(best, current, key=len)
    return best if all(text.count(best) == 1 for text in long) else ""


@dataclass(frozen=True, slots=True)
class _PartCut:
    """A cut in a part that names have in common: `excess` characters and one more for the ellipsis go."""

    part: str
    excess: int
    at: str  # "start", "end" or "middle" of each name

    def __call__(self, text: str) -> str:
        before, found, after = self._split(text)
        if not found:
            return text
        left = len(self.part) - self.excess - 1
        head = (left + 1) // 2
        tail = self.part[len(self.part) - left // 2 :] if left > 1 else ""
        return f"{before}{self.part[:head]}{ELLIPSIS}{tail}{after}"

    def _split(self, text: str) -> tuple[str, str, str]:
        match self.at:
            case "start" if text.startswith(self.part):
                return "", self.part, text[len(self.part) :]
            case "end" if text.endswith(self.part):
                return text[: -len(self.part)], self.part, ""
            case "middle":
                return text.partition(self.part)
        return text, "", ""


@dataclass(frozen=True, slots=True)
class _MiddleCut:
    """A cut after `head` cells, in names that do not fit."""

    width: int
    head: int

    def __call__(self, text: str) -> str:
        return _cut_middle(text, self.width, self.head)


def _cut_middle(text: str, width: int, head: int) -> str:
    if cell_len(text) <= width:
        return text
    tail = width - 1 - head
    if cell_len(text) == len(text):
        return f"{text[:head]}{ELLIPSIS}{text[len(text) - tail :]}"
    end = set_cell_size(text[::-1], tail)[::-1] if tail else ""
    return f"{set_cell_size(text, head).rstrip()}{ELLIPSIS}{end.lstrip()}"


def _number_duplicates(short: Mapping[str, str], width: int) -> dict[str, str]:
    """Return the short names with a number behind those that are the same."""
    counts = Counter(short.values())
    taken = {text for text, count in counts.items() if count == 1}
    result, number = {}, 0
    for name, text in short.items():
        shown = text
        while counts[text] > 1 and (shown == text or shown in taken):
            number += 1
            mark = f"~{number}"
            shown = set_cell_size(text, min(cell_len(text), width - len(mark))).rstrip() + mark
        taken.add(shown)
        result[name] = shown
    return result
