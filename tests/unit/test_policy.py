"""Amounts and the settings that make no sense."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.planning.application import Policy, resolve_count


@pytest.mark.parametrize(
    ("amount", "total", "down", "up"),
    [
        (2, 10, 2, 2),
        ("2", 10, 2, 2),
        ("30%", 10, 3, 3),
        ("50%", 3, 1, 2),
        (" 50 % ", 4, 2, 2),
        ("0%", 7, 0, 0),
        ("100%", 7, 7, 7),
        ("1%", 7, 0, 1),
    ],
)
def test_an_amount_is_a_number_or_a_share(amount: int | str, total: int, down: int, up: int) -> None:
    assert (resolve_count(amount, total), resolve_count(amount, total, up=True)) == (down, up)


@pytest.mark.parametrize("amount", [-1, "-1", "101%", "half", "", "%", "1.5", "½", "٣"])
def test_anything_else_is_refused_with_what_was_found(amount: int | str) -> None:
    with pytest.raises(ValueError, match="found"):
        resolve_count(amount, 10)


@given(share=st.integers(0, 100), total=st.integers(0, 10_000))
def test_a_share_is_rounded_by_less_than_one_node(share: int, total: int) -> None:
    down, up = resolve_count(f"{share}%", total), resolve_count(f"{share}%", total, up=True)
    assert down <= share * total / 100 <= up
    assert up - down <= 1
    assert 0 <= down <= up <= total


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("serial", 0),
        ("serial", []),
        ("serial", [1, "0%"]),
        ("min_available", "120%"),
        ("max_unavailable", 0),
        ("max_fail_percentage", 101.0),
        ("drain_timeout", -1.0),
        ("max_5xx", -1),
        ("ramp", [50, 10, 100]),
        ("ramp", [10, 10, 100]),
        ("ramp", [10, 50]),
        ("ramp", [0, 100]),
        ("ramp", [100]),
        ("ramp_hold", -1.0),
        ("ramp_hold", "soon"),
        ("start_grace", -1.0),
        ("bake_time", float("nan")),
        ("min_healthy", -0.1),
        ("min_healthy", 300.0),  # as long as verify_timeout: it could never be proven
    ],
)
def test_a_policy_that_makes_no_sense_names_its_key(field: str, value: object) -> None:
    with pytest.raises(msgspec.ValidationError, match=field if field != "min_available" else "120%"):
        msgspec.convert({field: value}, Policy)


def test_unknown_keys_are_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="min_availible"):
        msgspec.convert({"min_availible": 1}, Policy)
