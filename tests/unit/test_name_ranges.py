"""Names that count up are written as ranges, from which the same names follow."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.name_ranges import MIN_RUN, fold_names, fold_set

_RANGE = re.compile(r"^(.*)\[(\d+)-(\d+)\](.*)$", re.DOTALL)


def unfold(text: str) -> list[str]:
    """The names that a folded list stands for, as an operator reads it."""
    names: list[str] = []
    for part in text.split("\n") if text else []:
        if found := _RANGE.match(part):
            before, first, last, after = found.groups()
            numbers = range(int(first), int(last) + 1)
            names += [f"{before}{str(number).zfill(len(first))}{after}" for number in numbers]
        else:
            names.append(part)
    return names


letters = st.text(st.characters(exclude_characters="[],\n", exclude_categories=["Cs"]), max_size=6)


@st.composite
def counting(draw: st.DrawFn) -> list[str]:
    """Some names that count up, with a gap or in another order now and then."""
    before, after = draw(letters), draw(letters)
    start, length, width = draw(st.integers(0, 1200)), draw(st.integers(1, 30)), draw(st.integers(1, 4))
    numbers = list(range(start, start + length))
    if draw(st.booleans()):
        numbers.remove(draw(st.sampled_from(numbers)))
    return [f"{before}{str(number).zfill(width)}{after}" for number in numbers]


@given(st.lists(st.one_of(counting(), st.lists(letters.filter(bool), max_size=3)), max_size=6))
def test_the_names_follow_from_the_folded_list(groups: list[list[str]]) -> None:
    names = [name for group in groups for name in group if name]
    assert unfold(fold_names(names, "\n")) == names
    different = {name for name in names if ", " not in name}
    assert sorted(unfold(fold_set(different).replace(", ", "\n"))) == sorted(different)


@pytest.mark.parametrize(
    ("names", "folded"),
    [
        ([], ""),
        (["web1", "web2", "web3"], "web1, web2, web3"),
        ([f"web{number:03}" for number in range(1, 401)], "web[001-400]"),
        ([f"web{number}.eu" for number in range(8, 13)], "web[8-12].eu"),
        (["db", *(f"web-{number:02}" for number in range(96, 104))], "db, web-[96-103]"),
        ([f"eu1-web{number}" for number in range(1, 6)] + ["eu2-web1"], "eu1-web[1-5], eu2-web1"),
        ([f"web[{number}]" for number in range(9)], ", ".join(f"web[{number}]" for number in range(9))),
    ],
)
def test_how_lists_look(names: list[str], folded: str) -> None:
    assert fold_names(names) == folded


def test_names_of_a_set_need_not_follow_each_other() -> None:
    names = [f"web{number:02}{of}" for number in range(1, 21) for of in (" on lb1", " on lb2", "-db")]
    assert fold_set(["a", *names, "b"]) == "a, web[01-20] on lb1, web[01-20] on lb2, web[01-20]-db, b"
    assert fold_set(["web2", "web1", "web2"]) == "web2, web1"


def test_few_names_stay_as_they_are() -> None:
    names = [f"web{number}" for number in range(MIN_RUN - 1)]
    assert fold_names(names) == ", ".join(names)
