"""The capacity guard refuses what would leave too little, and only that."""

from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.model import Admin, Info, Level, Server, ServerRef, Snapshot
from orchestrator.planning import capacity
from orchestrator.planning.application import Amount, Policy
from orchestrator.planning.capacity import CapacityViolation, compute_floor
from tests.support.fake_fleet import World
from tests.support.virtual_time import run

AMOUNT: st.SearchStrategy[Amount] = st.one_of(
    st.integers(0, 12), st.integers(0, 100).map(lambda share: f"{share}%")
)


async def _server() -> Server:
    return World(1, 1).server("web1").seen()


UP = run(_server())


def snapshot(states: list[bool], instance: str = "lb1", backup: int = 0) -> Snapshot:
    """One backend with a server in or out of rotation for each state, and backups."""
    servers = [
        replace(
            UP,
            ref=ServerRef(instance, "shop", f"web{number}"),
            admin=Admin.NONE if state else Admin.FORCED_MAINT,
            status="UP" if state else "MAINT",
            backup=number >= len(states),
        )
        for number, state in enumerate([*states, *[True] * backup])
    ]
    return Snapshot(Info(instance, "2.6", 1, 1, False), Level.ADMIN, (), tuple(servers))


def policy(min_available: Amount = 0, max_unavailable: Amount | None = None) -> Policy:
    return msgspec.convert({"min_available": min_available, "max_unavailable": max_unavailable}, Policy)


@pytest.mark.parametrize(
    ("total", "least", "most_out", "floor"),
    [
        (4, "50%", None, 2),
        (3, "50%", None, 2),  # floors are rounded up
        (4, 3, None, 3),
        (4, 0, None, 0),
        (4, 1, 1, 3),  # the stricter one
        (4, 3, 3, 3),
        (5, 0, "40%", 3),
        (5, 0, "10%", 5),  # rounded down: none may go
    ],
)
def test_the_floor_is_the_stricter_of_both_settings(
    total: int, least: Amount, most_out: Amount | None, floor: int
) -> None:
    assert compute_floor(total, policy(least, most_out)) == floor


@given(least=AMOUNT, most_out=st.none() | AMOUNT.filter(lambda amount: amount not in (0, "0%")))
def test_more_servers_never_lower_the_floor(least: Amount, most_out: Amount | None) -> None:
    floors = [compute_floor(total, policy(least, most_out)) for total in range(30)]
    assert floors == sorted(floors)


@given(
    fleet=st.lists(st.lists(st.booleans(), min_size=1, max_size=6), min_size=1, max_size=3),
    leaving=st.sets(st.integers(0, 5), min_size=1),
    least=AMOUNT,
    backup=st.integers(0, 2),
)
def test_nothing_in_rotation_leaves_below_the_floor_and_what_is_out_always_may(
    fleet: list[list[bool]], leaving: set[int], least: Amount, backup: int
) -> None:
    rules = policy(least)
    snapshots = {
        f"lb{number}": snapshot(states, f"lb{number}", backup) for number, states in enumerate(fleet)
    }
    refs = {ServerRef(name, "shop", f"web{number}") for name in snapshots for number in leaving}
    breaks = any(
        any(index < len(states) + backup and [*states, *[True] * backup][index] for index in leaving)
        and _stays(states, leaving, backup) < compute_floor(len(states), rules)
        for states in fleet
    )
    if breaks:
        with pytest.raises(CapacityViolation):
            capacity.check_capacity(snapshots, refs, rules)
    else:
        assert all(verdict.allowed for verdict in capacity.check_capacity(snapshots, refs, rules))


def _stays(states: list[bool], leaving: set[int], backup: int) -> int:
    """Those in rotation, and where there is none the first backup server that does not leave."""
    active = sum(state for index, state in enumerate(states) if index not in leaving)
    spare = any(number not in leaving for number in range(len(states), len(states) + backup))
    return active or int(spare)


def test_the_refusal_names_backend_instance_and_numbers() -> None:
    snapshots = {"lb1": snapshot([True, True, False])}
    with pytest.raises(CapacityViolation, match=r"^shop on lb1: in rotation 2 → 1, floor 2$") as refused:
        capacity.check_capacity(snapshots, {ServerRef("lb1", "shop", "web0")}, policy("50%"))
    assert [capacity.before for capacity in refused.value.broken] == [2]


def test_one_instance_with_too_little_is_enough_to_refuse() -> None:
    snapshots = {"lb1": snapshot([True] * 4), "lb2": snapshot([True, True, False, False], "lb2")}
    refs = {ServerRef(name, "shop", "web0") for name in snapshots}
    with pytest.raises(CapacityViolation, match="on lb2"):
        capacity.check_capacity(snapshots, refs, policy("50%"))


@pytest.mark.parametrize(
    "change",
    [
        {"status": "UP 1/3", "check_health": 2},
        {"throttle": 40},
        {"effective_weight": 0, "weight": 0},
        {"admin": Admin.FORCED_DRAIN, "status": "DRAIN"},
        {"admin": Admin.RESOLUTION_MAINT, "status": "MAINT (resolution)"},
    ],
)
def test_half_a_server_does_not_count_as_capacity(change: dict[str, object]) -> None:
    seen = snapshot([True, True])
    first, second = seen.servers
    weak = replace(first, **change)  # type: ignore[arg-type]
    snapshots = {"lb1": replace(seen, servers=(weak, second))}
    with pytest.raises(CapacityViolation):
        capacity.check_capacity(snapshots, {second.ref}, policy(1))
    assert capacity.check_capacity(snapshots, {first.ref}, policy(1))[0].allowed
