"""Which servers are slots that name resolution fills, and when they may be emptied too early."""

import asyncio
from dataclasses import replace

import pytest

from backends.errors import Unreachable
from backends.model import Admin, Info, Level, Server, ServerRef, Snapshot
from orchestrator.engine.steps.drain import drain
from orchestrator.engine.steps.verify import verify
from orchestrator.errors import StepTimeout
from orchestrator.events.events import Waiting
from orchestrator.planning.application import Policy
from orchestrator.planning.findings import Severity, compute_longest_stop_s, judge_slots
from tests.support.console_values import server
from tests.support.fake_balancer import FakeFacts
from tests.support.fake_fleet import World

POLICY = Policy()
LONG = compute_longest_stop_s(POLICY)
SRV = "_shop._tcp.test"


def slot(name: str, *, host: str = "", srv: str = "", port: int = 80) -> Server:
    return replace(server(name, "lb1", "shop"), host_name=host, srv_record=srv, port=port)


def findings(servers: list[Server], facts: FakeFacts | Unreachable, *names: str) -> list[str]:
    snapshot = Snapshot(Info("lb1", "2.6", 1, 1, False), Level.ADMIN, (), tuple(servers))
    refs = {ServerRef("lb1", "shop", name) for name in names}
    found = list(judge_slots(snapshot, facts, refs, POLICY))
    assert all(finding.severity is Severity.ERROR and finding.subject == "shop on lb1" for finding in found)
    return [finding.text for finding in found]


@pytest.mark.parametrize(
    ("held", "problem"),
    [
        ({"shop": 0.0}, "It is 0 s now"),
        ({"shop": LONG - 1}, f"It is {LONG - 1:g} s now"),
        ({"shop": LONG}, ""),
        ({}, ""),  # resolved once, at the start of HAProxy
        (None, "What is set now is unknown: no file (`config_file` of [haproxy.lb1] names the file)"),
    ],
)
def test_a_slot_must_be_held_for_as_long_as_its_node_may_be_away(
    held: dict[str, float] | None, problem: str
) -> None:
    facts = FakeFacts(hold_obsolete_s=held, unseen="no file")
    found = findings([slot("s1", host="a.test", srv=SRV), slot("s2")], facts, "s1")
    assert [text.endswith(problem) for text in found] == ([True] if problem else [])
    assert all(f"(SRV record {SRV})" in text and f"`hold obsolete {LONG:.0f}s`" in text for text in found)


def test_a_configuration_that_could_not_be_asked_for_is_not_known() -> None:
    [text] = findings([slot("s1", srv=SRV)], Unreachable("lb1", "refused"), "s1")
    assert "unknown: refused" in text


def test_several_servers_of_one_name_and_port_are_slots_too() -> None:
    facts = FakeFacts(hold_obsolete_s={"shop": 0.0})
    alike = [slot("s1", host="web.test"), slot("s2", host="web.test")]
    [text] = findings(alike, facts, "s1", "s2")
    assert "(addresses of web.test)" in text
    one_each = [slot("s1", host="web1.test"), slot("s2", host="web2.test")]
    assert not findings(one_each, facts, "s1", "s2")
    by_port = [slot("s1", host="web.test", port=81), slot("s2", host="web.test", port=82)]
    assert not findings(by_port, facts, "s1", "s2")
    assert not findings(alike, facts, "s9"), "only servers of nodes that are worked on count"


@pytest.mark.virtual_time
async def test_name_resolution_is_named_and_waited_for() -> None:
    """It keeps the node in maintenance for a while after its start: that is nobody's doing."""

    world = World(instances=1)
    context = world.context(wanted=None)
    await drain(context)
    fake = world.server("web1")

    def resolve() -> None:
        fake.admin &= ~Admin.RESOLUTION_MAINT

    fake.admin |= Admin.RESOLUTION_MAINT
    world.at(20, resolve)
    assert await verify(context) == "in rotation"
    reasons = [wait.reason for wait in world.events(Waiting)]
    assert any("name resolution keeps shop/web1 on lb1 in maintenance" in reason for reason in reasons), (
        reasons
    )
    assert asyncio.get_running_loop().time() > 20


@pytest.mark.virtual_time
async def test_an_address_that_never_comes_is_not_somebody_elses_doing() -> None:
    world = World(instances=1, verify_timeout=30)
    context = world.context(wanted=None)
    await drain(context)
    world.server("web1").admin |= Admin.RESOLUTION_MAINT
    with pytest.raises(StepTimeout, match="HAProxy has no address for it yet"):
        await verify(context)
