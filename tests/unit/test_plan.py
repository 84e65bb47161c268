"""Batches like Ansible's, and what a node needs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.events.steps import STEPS, Step
from orchestrator.planning.application import Amount
from orchestrator.planning.plan import choose_steps, cut_into_batches, sort_by_order

SIZE: st.SearchStrategy[Amount] = st.one_of(
    st.integers(1, 20), st.integers(1, 100).map(lambda share: f"{share}%")
)


@pytest.mark.parametrize(
    ("count", "serial", "sizes"),
    [
        (0, 1, []),
        (5, 2, [2, 2, 1]),
        (10, "30%", [3, 3, 3, 1]),
        (3, "1%", [1, 1, 1]),  # at least one, or it would never end
        (9, [1, 5], [1, 5, 3]),
        (10, [1, "25%", "100%"], [1, 2, 7]),
        (9, [1, 2], [1, 2, 2, 2, 2]),  # the last one again and again
        (2, 5, [2]),
    ],
)
def test_batches_have_the_sizes_of_ansible(
    count: int, serial: Amount | list[Amount], sizes: list[int]
) -> None:
    names = [f"web{number}" for number in range(count)]
    assert [len(batch) for batch in cut_into_batches(names, serial)] == sizes


@given(count=st.integers(0, 60), serial=st.one_of(SIZE, st.lists(SIZE, min_size=1, max_size=4)))
def test_batches_cover_every_name_once_and_in_order(count: int, serial: Amount | list[Amount]) -> None:
    names = [f"web{number}" for number in range(count)]
    cut = cut_into_batches(names, serial)
    assert [name for batch in cut for name in batch] == names
    assert all(cut)


def test_the_order_is_the_policys() -> None:
    names = ["b", "c", "a"]
    assert sort_by_order(names, "inventory") == ["b", "c", "a"]
    assert sort_by_order(names, "reverse") == ["a", "c", "b"]
    assert sort_by_order(names, "sorted") == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("installed", "running", "in_rotation", "stays_out", "steps", "why"),
    [
        ("1", "1", True, False, tuple(STEPS), "1 → 2"),
        (None, None, False, False, tuple(STEPS), "nothing → 2"),
        ("2", "1", True, False, tuple(STEPS), "2 is installed, but 1 runs: restart"),
        ("2", None, True, False, tuple(STEPS), "2 is installed, but the running version is unknown: restart"),
        ("2", "2", True, False, (), "has 2 and is in rotation"),
        ("2", "2", False, False, ("verify",), "has 2, but is not in rotation everywhere"),
        ("2", "2", False, True, (), "has 2; intentionally out of rotation, and stays out"),
        ("1", "1", False, True, tuple(STEPS), "1 → 2"),
    ],
)
def test_a_node_is_given_the_steps_that_it_lacks(
    installed: str | None,
    running: str | None,
    in_rotation: bool,
    stays_out: bool,
    steps: tuple[Step, ...],
    why: str,
) -> None:
    found = choose_steps("2", installed, running, in_rotation=in_rotation, stays_out=stays_out)
    assert found == (steps, why)
