"""The addresses of a node's servers are looked at again right before it is taken out."""

from dataclasses import replace

import pytest

from orchestrator.events.events import NodeFailed
from tests.support.fake_fleet import World


@pytest.mark.virtual_time
@pytest.mark.parametrize("state", ["ready", "maint"])
async def test_an_address_that_was_set_since_the_plan_fails_its_node_untouched(state: str) -> None:
    world = World(nodes=3, instances=1)
    ips = {f"web{number}": f"10.0.0.{number}" for number in (1, 2, 3)}
    world.application = replace(
        world.application,
        nodes=tuple(replace(node, addresses=frozenset({ips[node.name]})) for node in world.application.nodes),
    )
    for name, ip in ips.items():
        world.server(name).address = ip
    world.take_out("web2", state)
    plan = await world.plan()
    assert not plan.errors
    world.at(1, lambda: setattr(world.server("web2"), "address", ips["web3"]))
    ended = await world.carry_out(plan)
    assert ended.result == "degraded"
    assert (ended.upgraded, ended.held) == (["web1"], ["web2"])
    (failed,) = [failure.error for failure in world.events(NodeFailed)]
    assert failed == (
        "shop/web2 on lb1 has the address 10.0.0.3:80, which is that of web3; web2 is 10.0.0.2:80:"
        " one machine would be drained, and another one stopped"
    )
    assert (world.sent("web2"), world.nodes["web2"].asked) == ([], [])
    assert world.admin("web2") == [state]
