"""Text: untrusted text is made harmless and short, and values are formatted for people."""

import asyncio
import codecs
import json
import re
from collections.abc import Callable, Collection, Iterable
from datetime import UTC, datetime
from typing import ParamSpec, TypeVar

# Printable to Python, and yet seen by nobody: Unicode's "default ignorable" characters that are letters or
# marks (joiners, fillers, variation selectors), and Braille's blank. Controls, formats (bidirectional ones,
# zero-width ones, tags), separators and unassigned ones are not printable anyway.
_HIDDEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)


def is_visible(text: str) -> bool:
    """Return whether every character of a text is seen, in its place."""
    return text.isprintable() and (text.isascii() or _HIDDEN.search(text) is None)


def visible(text: str) -> str:
    r"""Show what could control a terminal, reorder text or hide as `\x1b`-like escapes.

    Those are control characters, bidirectional ones, ones without width or ink, and lone surrogates; tabs and
    line breaks become spaces. An emoji's variation selector is shown too: without it two names that look the
    same would not be.
    """
    return text if is_visible(text) else "".join(map(_visible, text))


def _visible(character: str) -> str:
    if is_visible(character):
        return character
    if character in "\t\n\r":
        return " "
    return character.encode("unicode_escape", "backslashreplace").decode("ascii")


def visible_lines(text: str) -> str:
    """Return the same of a text that has lines of its own."""
    return "\n".join(map(visible, text.split("\n")))


def visible_json(line: str) -> str:
    """Return a line of JSON that says the same, with what `visible` shows escaped as in JSON."""
    return line if is_visible(line) else "".join(map(_in_json, line))


def _in_json(character: str) -> str:
    if is_visible(character):
        return character
    return json.dumps(character)[1:-1] if character != "\x7f" else "\\u007f"


def visible_toml(text: str) -> str:
    """Return a string of TOML, with what `visible` shows escaped. Lone surrogates are replaced."""
    return "".join(map(_in_toml, json.dumps(text, ensure_ascii=False)))


def _in_toml(character: str) -> str:
    number = ord(character)
    if is_visible(character):
        return character
    if 0xD800 <= number <= 0xDFFF:
        return "\ufffd"
    return f"\\u{number:04x}" if number <= 0xFFFF else f"\\U{number:08x}"


Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

MIN_BESIDE_LENGTH = 256 * 1024  # bytes or characters; from this size on, a text is read beside the event loop
MAX_DETAIL_CHARS = 400  # of what a service manager or a registry says of one node
MAX_LAST_LINES = 5  # of what a service has written last
_CHUNK_BYTES = 256 * 1024  # some 3 ms


def shorten(text: str, most: int) -> str:
    """Return at most so many characters, and the length: ``the first words… (36,000,000 characters)``."""
    return text if len(text) <= most else f"{text[:most]}… ({len(text):,} characters)"


async def run_beside(
    size: int, function: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs
) -> Result:
    """Call a function in a thread when the text that it is to read is large, so that no key waits for it."""
    if size < MIN_BESIDE_LENGTH:
        return function(*args, **kwargs)
    return await asyncio.to_thread(function, *args, **kwargs)


def last_lines(text: str) -> tuple[str, ...]:
    """Return the last lines that are not blank, at most MAX_LAST_LINES, oldest first, each shortened."""
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    return tuple(shorten(line, MAX_DETAIL_CHARS) for line in lines[-MAX_LAST_LINES:])


def abridge(text: str, most: int) -> str:
    """Return the beginning and the end of a long text, and between them how long it is."""
    if len(text) <= most:
        return text
    half = most // 2
    return f"{text[:half]}\n… ({len(text):,} characters; the middle is left out)\n{text[-half:]}"


def decode(data: bytes | bytearray) -> str:
    """Decode UTF-8 in pieces: nothing else can run in the process while one is being decoded."""
    if len(data) <= _CHUNK_BYTES:
        return data.decode(errors="replace")
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    pieces = [decoder.decode(data[at : at + _CHUNK_BYTES]) for at in range(0, len(data), _CHUNK_BYTES)]
    return "".join((*pieces, decoder.decode(b"", final=True)))


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: `1 node`, `120,000 nodes`, `2 batches`, `0 entries`."""
    return f"{number:,} {noun if number == 1 else plural(noun)}"


def plural(noun: str) -> str:
    """Return `nodes` for `node`; of several words the last one changes."""
    if noun.endswith(("s", "x", "ch", "sh")):
        return f"{noun}es"
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return f"{noun[:-1]}ies"
    return f"{noun}s"


def format_duration(seconds: float) -> str:
    """Format seconds in at most five columns: 0.8 s, 12 s, 2:05, 3h07."""
    if seconds < 9.95:
        return f"{max(0.0, seconds):.1f} s"
    return f"{seconds:.0f} s" if seconds < 59.5 else format_clock(max(60.0, seconds))


def format_since(seconds: int) -> str:
    """Return a time in one unit, in at most six cells."""
    if seconds < 60:
        return f"{max(0, seconds)} s"
    if seconds < 3600:
        return f"{seconds // 60} min"
    return f"{seconds // 3600} h" if seconds < 48 * 3600 else f"{seconds // 86400} d"


def format_clock(seconds: float) -> str:
    """Format minutes and seconds, for what runs: 0:18, 12:05, 3h07."""
    whole = max(0, int(seconds))
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d}"
    return f"{whole // 3600}h{whole % 3600 // 60:02d}"


UNKNOWN_TIME = "?"
"""A moment that nobody can have written."""


def format_local_time(at: float, form: str = "%Y-%m-%d %H:%M:%S") -> str:
    """Format seconds since 1970 in local time, or return UNKNOWN_TIME."""
    try:
        return datetime.fromtimestamp(at, UTC).astimezone().strftime(form)
    except (OverflowError, ValueError, OSError):
        return UNKNOWN_TIME


_MAX_COMPARED_CHARS = 80  # of the name that was found
_MIN_PREFIX_CHARS = 4  # letters of a name that are enough to know it by
_MAX_LISTED_NAMES = 30  # names; more would hide the text before them


def closest(found: object, known: Iterable[str]) -> str:
    """Return the known name that was probably meant; empty when none is close.

    One letter may differ, two in a name of six letters or more, and three in one of ten; case is ignored. Of
    several equally close names the last one in the alphabet is returned. Otherwise the text may be the
    beginning of a name. `difflib` cannot be used: it rates "print" and "port" like "lb3" and "lb2".
    """
    text = str(found)[:_MAX_COMPARED_CHARS].lower()
    best, meant, longer = _LIMITS[-1][1], "", ""
    for name in sorted(known):
        limit = min(best, _limit(len(text), len(name)))
        if (distance := _distance(text, name.lower(), limit)) <= limit:
            best, meant = distance, name
        elif len(text) >= _MIN_PREFIX_CHARS and name.lower().startswith(text):
            longer = min(longer or name, name, key=len)
    return meant or longer


def suggest(found: object, known: Collection[str]) -> str:
    """Return `did you mean 'web1'? `, with a space at its end; empty when no name is close."""
    meant = closest(found, known)
    return f"did you mean {meant!r}? " if meant else ""


def one_of(found: object, known: Collection[str]) -> str:
    """Return the choices, and which of them was probably meant."""
    return f"{suggest(found, known)}expected one of: {', '.join(known)}"


def there_is(found: object, known: Collection[str]) -> str:
    """Return the names that there are, and which of them was probably meant."""
    names = list(known)
    more = f" and {len(names) - _MAX_LISTED_NAMES:,} more" if len(names) > _MAX_LISTED_NAMES else ""
    return f"{suggest(found, known)}there is: {', '.join(names[:_MAX_LISTED_NAMES]) or 'none'}{more}"


def absent(missing: Collection[str], known: Collection[str]) -> str:
    """Return `shopp (did you mean 'shop'?); there is: shop, api`, for all that is missing."""
    hints = (f"{name} ({hint.strip()})" if (hint := suggest(name, known)) else name for name in missing)
    return f"{', '.join(hints)}; {there_is('', known)}"


_LIMITS = ((3, 1), (6, 2), (10, 3))  # from so many letters of a known name on, so many may differ


def _limit(found: int, known: int) -> int:
    """Return how many letters may differ between names of these lengths; the found one may lack one."""
    return max((most for least, most in _LIMITS if known >= least and found >= least - 1), default=0)


def _distance(one: str, other: str, limit: int) -> int:
    """Count the letters to add, leave out, change or swap with their neighbor to get the other name.

    The result is any number above the limit if it is above that: most names differ after a few letters.
    """
    if not limit or abs(len(one) - len(other)) > limit:
        return 0 if one == other else limit + 1
    pairs = enumerate(zip(one, other, strict=False))
    same = next((at for at, (mine, its) in pairs if mine != its), min(len(one), len(other)))
    one, other = one[same:], other[same:]
    rows = [list(range(len(other) + 1))]
    for i, letter in enumerate(one, 1):
        row = [i]
        for j, wanted in enumerate(other, 1):
            best = min(rows[-1][j] + 1, row[-1] + 1, rows[-1][j - 1] + (letter != wanted))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == wanted:
                best = min(best, rows[-2][j - 2] + 1)
            row.append(best)
        rows.append(row)
        if i > 1 and min(*rows[-1], *rows[-2]) > limit:
            return limit + 1
    return rows[-1][-1]
