r"""Lines of HAProxy's configuration as words, by HAProxy's own rules (measured on 2.2, 2.6, 3.0 and 3.2).

Unlike in a shell, a backslash counts between double quotes as it does outside: ``\ \\ \# \' \"`` stand for
what follows it, ``\n \r \t`` and ``\xHH`` for a character, ``\$`` only between double quotes for a dollar
sign, and any other backslash for itself. A ``#`` begins a comment in the middle of a word too, and a carriage
return ends the line. Variables (``"${NAME}"``) stay as they are written: only HAProxy knows its environment.
"""

import re
from collections.abc import Collection, Iterator
from functools import lru_cache

MAX_LINE = 65_536  # characters; what comes after them on a line is not looked at
MAX_WORDS = 64  # HAProxy does not start with more of them on a line

_PIECES = re.compile(
    r"""
      (?P<blank>[ \t\v\f]++)
    | (?P<plain>[^ \t\v\f"'\\\#]++)
    | '(?P<strong>[^']*+)'
    | "(?P<weak>(?:[^"\\]|\\.)*+)"
    | (?P<escape>\\(?:x[0-9A-Fa-f]{2}|.|\Z))
    | (?P<comment>\#)
    """,
    re.VERBOSE | re.DOTALL,
)
_PIECE = 64 * 1024  # characters
_ESCAPE = re.compile(r"\\(x[0-9A-Fa-f]{2}|.)", re.DOTALL)
_MEANINGS = {" ": " ", "\\": "\\", "#": "#", "'": "'", '"': '"', "n": "\n", "r": "\r", "t": "\t"}


def read_lines(text: str, keywords: Collection[str]) -> Iterator[list[str]]:
    """Yield the words of each line that begins with one of the keywords, in a time linear in the length."""
    pattern = _pattern(frozenset(keywords))
    begin = 0
    while begin < len(text):
        # In pieces: nothing else can run in the process while one is being matched. Where a piece ends within
        # a line, more of that than counts has been seen, and the rest of it begins no line.
        most = min(begin + _PIECE + MAX_LINE, len(text))
        end = text.find("\n", begin + _PIECE, most)
        end = most if end < 0 else end
        for match in pattern.finditer(text, begin, end):
            words = split_line(text[match.start() : min(match.end(), match.start() + MAX_LINE)])
            if words and words[0] in keywords:
                yield words
        begin = end + 1 if text.startswith("\n", end) else end


def split_line(line: str) -> list[str]:
    """Split one line. Where HAProxy would refuse it (an open quote), quotes do not count at all."""
    if "\r" in line:
        line = line.partition("\r")[0]
    if "\\" not in line and '"' not in line and "'" not in line:  # nearly always
        return _split_plain(line.partition("#")[0])
    words, word, inside = list[str](), list[str](), False
    at = 0
    while at < len(line) and len(words) < MAX_WORDS:
        match = _PIECES.match(line, at)
        if match is None:
            return _split_plain(line)
        at = match.end()
        kind = match.lastgroup
        if kind == "comment":
            break
        if kind != "blank":
            inside = True
            word.append(_unquote(match))
        elif inside:
            words.append("".join(word))
            word.clear()
            inside = False
    return [*words, "".join(word)] if inside else words


@lru_cache(maxsize=4)
def _pattern(keywords: frozenset[str]) -> re.Pattern[str]:
    """Matches lines whose first word is a keyword, or has a quote or a backslash in it and may be one."""
    known = "|".join(map(re.escape, sorted(keywords)))
    first = rf"(?:{known})(?![^ \t\v\f\r\n#])|[^ \t\v\f\r\n#\"'\\]*+[\"'\\]"
    return re.compile(rf"^[ \t\v\f]*+(?:{first})[^\n]*+", re.MULTILINE)


def _split_plain(line: str) -> list[str]:
    if not line.isascii():  # `split` knows more blanks than HAProxy
        return [word for word in re.split(r"[ \t\v\f]+", line, maxsplit=MAX_WORDS) if word]
    return line.split(None, MAX_WORDS)


def _unquote(match: re.Match[str]) -> str:
    kind, text = match.lastgroup, match[0]
    if kind == "weak":
        return _ESCAPE.sub(lambda found: _meaning(found[1], dollar=True), match["weak"])
    if kind == "escape":
        return _meaning(text[1:], dollar=False)
    return match["strong"] if kind == "strong" else text


def _meaning(escaped: str, *, dollar: bool) -> str:
    if escaped[:1] == "x" and len(escaped) == 3:
        return chr(int(escaped[1:], 16))
    if escaped == "$" and dollar:
        return "$"
    return _MEANINGS.get(escaped, f"\\{escaped}")
