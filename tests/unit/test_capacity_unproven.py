"""The floor holds while servers carry traffic that they have not proven to be fit for."""

from dataclasses import replace

import msgspec
import pytest

from backends.model import Operational, Server, Snapshot
from orchestrator.planning import capacity
from orchestrator.planning.application import Policy
from orchestrator.planning.capacity import CapacityViolation
from tests.support.fake_fleet import World
from tests.support.virtual_time import run

HALF = msgspec.convert({"min_available": "50%"}, Policy)


async def _just_reloaded(nodes: int = 4) -> Snapshot:
    world = World(nodes, 1)
    world.balancers["lb1"].reload()
    return world.balancers["lb1"].seen()


def changed(snapshot: Snapshot, *servers: Server) -> dict[str, Snapshot]:
    own = {server.ref: server for server in servers}
    return {
        "lb1": replace(snapshot, servers=tuple(own.get(server.ref, server) for server in snapshot.servers))
    }


def test_after_a_reload_nothing_counts_and_nothing_may_go() -> None:
    seen = run(_just_reloaded())
    assert {server.status for server in seen.servers} == {"UP 1/3"}
    with pytest.raises(CapacityViolation, match="in rotation 0 → 0, floor 2"):
        capacity.check_capacity({"lb1": seen}, {seen.servers[0].ref}, HALF)


def test_one_that_takes_no_traffic_may_be_worked_on_even_then() -> None:
    seen = run(_just_reloaded())
    down = replace(seen.servers[0], operational=Operational.STOPPED, status="DOWN 1/2", check_health=1)
    assert capacity.check_capacity(changed(seen, down), {down.ref}, HALF)[0].allowed


def test_the_backup_stays_while_it_is_all_that_serves() -> None:
    seen = run(_just_reloaded(2))
    dead = replace(seen.servers[0], operational=Operational.STOPPED, status="DOWN", check_health=0)
    backup = replace(seen.servers[1], backup=True, status="UP", check_health=4)
    with pytest.raises(CapacityViolation):
        capacity.check_capacity(changed(seen, dead, backup), {backup.ref}, HALF)


def test_backups_alone_are_counted_like_any_other_server() -> None:
    seen = run(_just_reloaded(1))
    backup = replace(seen.servers[0], backup=True, status="UP", check_health=4)
    with pytest.raises(CapacityViolation, match="in rotation 1 → 0, floor 1"):
        capacity.check_capacity(changed(seen, backup), {backup.ref}, HALF)


@pytest.mark.virtual_time
async def test_a_plan_made_just_after_a_reload_takes_nothing_out() -> None:
    world = World(4, 2, serial="100%", min_available="50%")
    for balancer in world.balancers.values():
        balancer.reload()
    plan = await world.plan()
    assert [finding.subject for finding in plan.errors] == ["web1, web2, web3, web4"] * 2
    assert not world.touched()
