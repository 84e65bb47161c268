"""Findings of preflight about the way back to the current version, with a real installer."""

from dataclasses import replace

from backends.node_state import Presence
from backends.protocols import Installer
from orchestrator.node import Node
from orchestrator.planning.findings import Finding
from orchestrator.planning.plan import PlannedNode
from orchestrator.preflight.nodes import check_availability, check_ways_back
from tests.support.fake_node import FakeHealth, FakeHost, FakeNode, FakePort, FakeService


async def find_ways_back(installer: Installer, wanted: str) -> list[Finding]:
    """What is found of the version that is installed now, before `wanted` is; nothing where it can be had.

    Raises AssertionError where no way back is looked for: nothing is installed, or `wanted` cannot be had.
    """
    fake = FakeNode("web1")  # of whose parts only the installer is asked
    node = Node(
        name="web1",
        addresses=frozenset(),
        port=80,
        servers=(),
        host=FakeHost(fake),
        service=FakeService(fake),
        port_probe=FakePort(fake),
        installer=installer,
        health=FakeHealth(fake),
    )
    installed = await installer.installed()
    assert installed not in (None, wanted)
    planned = PlannedNode("web1", (), {}, installed, None, ("install",), "")
    found = await check_availability([node], [planned], wanted)
    assert found["web1"].presence is not Presence.NOT_THERE, found
    return await check_ways_back([node], [replace(planned, availability=found["web1"])])
