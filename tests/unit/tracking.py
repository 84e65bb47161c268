"""Servers of the fakes that follow others by `track`."""

from backends.model import ServerRef
from tests.support.fake_fleet import World
from tests.support.fake_node import FakeNode
from tests.support.fake_server import FakeServer


def ref(path: str, instance: str = "lb1") -> ServerRef:
    backend, _, server = path.partition("/")
    return ServerRef(instance, backend, server)


def follow(world: World, follower: str, followed: str, node: str = "", instance: str = "lb1") -> FakeServer:
    """Add a server to some backend that tracks another one; by default of a machine of its own."""
    backend, _, name = follower.partition("/")
    balancer = world.balancers[instance]
    machine = world.nodes.get(node) or FakeNode(node or name)
    made = balancer.servers.get(follower) or balancer.add(backend, name, machine)
    made.has_checks, made.track_target = False, balancer.servers[followed]
    return made


def add(world: World, path: str, instance: str = "lb1") -> FakeServer:
    backend, _, name = path.partition("/")
    return world.balancers[instance].add(backend, name, FakeNode(name))
