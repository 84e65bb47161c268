"""The names in the server table: in full where they fit, and never two alike, at any width."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from backends.text import is_visible
from widgets.table.names import MIN_NAME_CELLS, NameSet, shorten_names

WIDTHS = st.integers(MIN_NAME_CELLS, 40)
LABELS = st.text("abwxeu019-_.", min_size=0, max_size=24)
WORDS = st.text("abwxeu-_.", max_size=24)
FAMILIES = st.builds(
    lambda prefixes, middle, numbers, suffix: {
        f"{prefix}{middle}{number:03}{suffix}" for prefix in prefixes for number in numbers
    },
    st.lists(LABELS, min_size=1, max_size=3),
    LABELS,
    st.sets(st.integers(0, 400), min_size=1, max_size=30),
    LABELS,
)


def check(names: set[str], width: int) -> None:
    short = shorten_names(names, width)
    assert short.keys() == names
    assert len(set(short.values())) == len(names)
    assert all(cell_len(text) <= width and is_visible(text) for text in short.values())


@given(st.one_of(st.sets(LABELS, min_size=1), FAMILIES, st.sets(st.text(max_size=60), min_size=1)), WIDTHS)
def test_different_names_stay_different_at_every_width(names: set[str], width: int) -> None:
    check(names, width)


@given(st.sets(LABELS, min_size=1), WIDTHS)
def test_names_that_fit_are_shown_in_full(names: set[str], width: int) -> None:
    longest = max(map(len, names))
    assert shorten_names(names, max(width, longest)) == {name: name for name in names}


@given(WORDS, st.sets(st.integers(0, 9_999), min_size=2, max_size=40), WORDS, st.integers(8, 40))
def test_what_differs_is_never_cut_while_the_rest_can_be(
    before: str, numbers: set[int], after: str, width: int
) -> None:
    parts = {f"{before}{number:04}{after}": f"{number:04}" for number in numbers}
    short = shorten_names(parts.keys(), width)
    assert all(part in short[name] for name, part in parts.items())


@pytest.mark.parametrize(
    ("names", "width", "expected"),
    [
        (["web-prod-eu-001", "web-prod-eu-400"], 15, ["web-prod-eu-001", "web-prod-eu-400"]),
        (["web-prod-eu-001", "web-prod-eu-400"], 10, ["web…eu-001", "web…eu-400"]),
        (["web-prod-eu-001", "web-prod-us-001"], 12, ["web…d-eu-001", "web…d-us-001"]),
        (["web1.dc1.example.com", "web2.dc1.example.com"], 12, ["web1.dc1…com", "web2.dc1…com"]),
        (["payments-prod-001", "ledger-prod-002"], 14, ["payments-…-001", "ledger-…-002"]),
        (["web-prod-eu-001", "db1"], 10, ["web…eu-001", "db1"]),
    ],
)
def test_cuts_are_where_names_are_alike(names: list[str], width: int, expected: list[str]) -> None:
    short = shorten_names(names, width)
    assert [short[name] for name in names] == expected


def test_names_that_are_shown_alike_get_numbers() -> None:
    assert shorten_names(["a b", "a\nb"], 6) == {"a\nb": "a b~1", "a b": "a b~2"}
    names = {"x" * 2_000 + f"{number}" + "x" * 2_000 for number in range(12)}
    check(names, MIN_NAME_CELLS)


def test_a_set_knows_how_wide_it_is_and_shortens_each_name_alike() -> None:
    names = NameSet(["web-prod-eu-001", "web-prod-eu-002", "日本"])
    assert names.cells == 15
    assert names.shorten("日本", 8) == "日本"
    assert names.shorten("web-prod-eu-002", 8) != names.shorten("web-prod-eu-001", 8)
    assert NameSet().cells == 0
