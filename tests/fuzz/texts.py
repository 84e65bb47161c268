"""Texts as an attacker, a bug or a broken connection would produce them."""

import json
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

SIZES = (0, 0, 0, 0, 3_000, 30_000, 100_000)  # characters that a text is made to have at least
ODD = (
    *("$(id>f)", "`id`", "; id", "${HOME}", "-oProxyCommand=id", "%h", "%", "../../etc/passwd", "~root", "'"),
    *(
        '"',
        "\\",
        "\0",
        "\x1b]0;x\x07",
        "\x1b[2J",
        "\u202e",
        "\u200b",
        "\ufeff",
        "\r",
        "\n\n",
        "\t",
        "[/bold]",
    ),
    *("[", "]", "{", "}", "{node}", "{{.State}}", "@", ":", "::", "//", "#", "=", ",", ";", "|", "-", "*"),
    *(
        "0",
        "-1",
        "65536",
        "9" * 20,
        "9" * 5_000,
        "1e999",
        "nan",
        "inf",
        "0x1f",
        "٣",
        "²",
        "½",
        "é",
        "\U0001d7d9",
        "ß",
    ),
    *("null", "true", "[]", "{}", "<a>", "&amp;", "!!python/object:os.system", "*a", "&a", "<<"),
)

word = st.one_of(
    st.text(alphabet="abcxyz019_.:-", min_size=1, max_size=12), st.sampled_from(ODD), st.text(max_size=8)
)
text = st.lists(word, max_size=6).map("".join)
number = st.one_of(
    st.integers(-5, 70_000), st.integers(), st.floats(), st.sampled_from([2**63, -(2**63), 2**64, 10**400])
)
digits = st.one_of(
    st.integers(-5, 70_000).map(str), st.sampled_from(["9" * 20, "9" * 5_000, "", "٣", "+1", "1_0"])
)
data = st.one_of(st.binary(max_size=60), text.map(str.encode))


def grown(piece: SearchStrategy[str], around: SearchStrategy[str] = text) -> SearchStrategy[str]:
    """A text in which one piece may be repeated until it is long: what is not linear shows there."""
    return st.builds(_grow, around, piece, st.sampled_from(SIZES), around)


def _grow(begin: str, piece: str, size: int, end: str) -> str:
    return begin + piece * (size // max(1, len(piece)) or 1) + end


def lines_of(line: SearchStrategy[str], end: str = "\n") -> SearchStrategy[str]:
    """Lines, of which one may stand there many times."""
    return grown(
        line.map(lambda one: one + end),
        st.lists(line, max_size=4).map(lambda rows: "".join(f"{row}{end}" for row in rows)),
    )


anything = grown(word)
tree: SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), number, text),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(text, inner, max_size=4)),
    max_leaves=12,
)


def mostly(usual: SearchStrategy[Any], odd: SearchStrategy[Any] = tree) -> SearchStrategy[Any]:
    """What belongs there, and now and then what does not."""
    return st.integers(0, 7).flatmap(lambda number: odd if number == 0 else usual)


def table(**fields: SearchStrategy[Any]) -> SearchStrategy[dict[str, Any]]:
    """An object with these fields, of which some may be missing, odd, or one too many."""
    return st.fixed_dictionaries({}, optional={name: mostly(value) for name, value in fields.items()})


def json_of(value: object) -> str:
    """As JSON; a number may have any length, or be none."""
    return json.dumps(value, default=str)
