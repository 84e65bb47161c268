"""A fake world whose nodes return on a weight ramp."""

from typing import Any

from tests.support.fake_fleet import World


def ramp_world(nodes: int = 3, instances: int = 1, *, ramp_hold: object = 6, **policy: Any) -> World:
    world = World(nodes, instances, ramp=[10, 50, 100], ramp_hold=ramp_hold, **policy)
    for balancer in world.balancers.values():
        for server in balancer.servers.values():
            server.weight = server.initial_weight = 100
    return world
