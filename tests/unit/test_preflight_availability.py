"""What preflight makes of versions that cannot be had: of the new one, and of the way back."""

import pytest

from backends.errors import ConfigError, Unreachable
from backends.node_state import THERE, Availability
from orchestrator.planning.findings import Finding, Severity
from orchestrator.planning.plan import Plan
from orchestrator.planning.plan_json import encode_plan
from orchestrator.preflight.preflight import preflight
from tests.support.fake_fleet import World
from tests.unit.test_availability import NOT_KNOWN, NOT_THERE


@pytest.mark.virtual_time
async def test_a_version_that_is_nowhere_is_an_error_before_anything_is_touched() -> None:
    world = World()
    missing = Availability(NOT_THERE, "there is no directory releases/1.6.9", ("1.6.0", "1.5.0"))
    for node in world.nodes.values():
        node.availabilities["1.6.9"] = missing
    plan = await world.plan("1.6.9")
    assert [error.subject for error in plan.errors] == ["web1", "web2", "web3"]
    assert {error.text for error in plan.errors} == {
        "1.6.9 is not available: there is no directory releases/1.6.9; there is 1.6.0, 1.5.0;"
        " did you mean '1.6.0'?"
    }
    assert not world.touched()
    [first, *_] = encode_plan(plan)["nodes"]
    assert first["availability"]["presence"] == "not_there"


@pytest.mark.virtual_time
async def test_going_back_to_what_is_gone_is_an_error_too() -> None:
    world = World()
    world.nodes["web1"].availabilities["0.9"] = Availability(NOT_THERE, "removed")
    plan = await preflight(world.application, "1.0", target_versions={"web1": "0.9"}, is_repair=True)
    assert [error.text for error in plan.errors] == ["0.9 is not available: removed"]


@pytest.mark.virtual_time
async def test_what_is_not_known_is_said_and_forbids_nothing() -> None:
    world = World()
    for node in world.nodes.values():
        node.availabilities["2.0"] = Availability(NOT_KNOWN, "no `exists` command is configured")
    plan = await world.plan()
    text = "not checked whether 2.0 is available: no `exists` command is configured"
    assert plan.findings == tuple(Finding(Severity.INFO, name, text) for name in ("web1", "web2", "web3")), (
        "one text, which is said once for the three"
    )
    assert (await world.carry_out(plan)).result == "healthy"


@pytest.mark.virtual_time
async def test_a_node_that_has_it_already_is_not_asked() -> None:
    world = World()
    world.nodes["web1"].installed = "2.0"  # and has to be restarted
    world.nodes["web2"].installed = world.nodes["web2"].running = "2.0"
    for name in ("web1", "web2"):
        world.nodes[name].availabilities["2.0"] = Availability(NOT_THERE, "removed")
    plan = await world.plan()
    assert not plan.errors
    assert [row.availability for row in plan.nodes] == [None, None, THERE]


@pytest.mark.virtual_time
async def test_an_unreachable_node_is_not_asked_once_more() -> None:
    world = World()
    world.nodes["web1"].faults.add("connect", Unreachable("web1", "refused"))
    plan = await world.plan()
    assert [error.text for error in plan.errors] == ["cannot be reached: refused"]
    assert plan.node("web1").availability is None


def ways_back(plan: Plan) -> list[Finding]:
    return [finding for finding in plan.findings if "a rollback to" in finding.text]


@pytest.mark.virtual_time
async def test_a_version_of_now_that_cannot_be_had_again_is_a_warning() -> None:
    world = World()
    world.nodes["web2"].availabilities["1.0"] = Availability(NOT_THERE, "removed", ("2.0", "1.9"))
    plan = await world.plan()
    text = "a rollback to 1.0 would fail: removed; there is 2.0, 1.9"
    assert ways_back(plan) == [Finding(Severity.WARNING, "web2", text)]
    assert not plan.errors
    assert (await world.carry_out(plan)).result == "healthy"


@pytest.mark.virtual_time
async def test_a_way_back_that_nobody_knows_is_said_and_one_that_is_there_is_not() -> None:
    world = World()
    world.nodes["web2"].availabilities["1.0"] = Availability(NOT_KNOWN, "the registry is silent")
    text = "not checked whether a rollback to 1.0 would work: the registry is silent"
    assert ways_back(await world.plan()) == [Finding(Severity.INFO, "web2", text)]


@pytest.mark.virtual_time
async def test_a_version_of_now_that_the_last_fetch_lacked_is_a_warning() -> None:
    world = World()
    lists = "the package lists have no shop of this version now"
    lacking = Availability(NOT_KNOWN, lists, ("2.0",), lacking=True)
    for version in ("1.0", "2.0"):
        world.nodes["web2"].availabilities[version] = lacking
    plan = await world.plan()
    text = f"a rollback to 1.0 may fail: {lists}; there is 2.0"
    assert ways_back(plan) == [Finding(Severity.WARNING, "web2", text)]
    [unknown] = [finding for finding in plan.findings if "not checked" in finding.text]
    assert (unknown.subject, unknown.severity) == ("web2", Severity.INFO), "the next fetch is to bring it"
    assert not plan.errors


@pytest.mark.virtual_time
async def test_an_answer_for_any_version_is_asked_for_once() -> None:
    world = World(nodes=1, min_available=0)
    node = world.nodes["web1"]
    cannot_tell = Availability(NOT_KNOWN, "Ansible cannot tell", any_version=True)
    node.availabilities["2.0"] = cannot_tell
    node.availabilities["1.0"] = Availability(NOT_KNOWN, "was asked once more")
    text = "not checked whether a rollback to 1.0 would work: Ansible cannot tell"
    assert ways_back(await world.plan()) == [Finding(Severity.INFO, "web1", text)]


@pytest.mark.virtual_time
@pytest.mark.parametrize("why", ["off", "repairs", "has it already", "cannot go there", "has none"])
async def test_where_no_way_back_is_asked_for(why: str) -> None:
    world = World(two_way="off" if why == "off" else "check")
    node = world.nodes["web2"]
    node.availabilities["1.0"] = Availability(NOT_THERE, "removed")
    if why == "has it already":
        node.installed = node.running = "2.0"
        node.availabilities["2.0"] = Availability(NOT_THERE, "removed")
    if why == "cannot go there":
        node.availabilities["2.0"] = Availability(NOT_THERE, "never was")
    if why == "has none":
        node.installed = None
    plan = await preflight(world.application, "2.0", is_repair=why == "repairs")
    assert ways_back(plan) == []


@pytest.mark.virtual_time
async def test_a_version_of_now_that_no_installer_takes_is_no_way_back() -> None:
    world = World(nodes=1, min_available=0)
    world.nodes["web1"].faults.add("availability", None)
    world.nodes["web1"].faults.add("availability", ConfigError("", "version", "is not a version"))
    [found] = ways_back(await world.plan())
    assert (found.severity, found.text) == (
        Severity.WARNING,
        "a rollback to 1.0 would fail: is not a version",
    )
