"""The plan in the journal: what was encoded is decoded, and earlier plans are read as far as they go."""

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.model import AdminState, ServerRef
from backends.name_ranges import Own
from backends.node_state import Availability, Presence
from orchestrator.journal.store import Journal
from orchestrator.node import OriginalState
from orchestrator.planning.application import Policy
from orchestrator.planning.capacity import Capacity
from orchestrator.planning.drain_forecast import DrainForecast
from orchestrator.planning.drain_outlook import DrainOutlook
from orchestrator.planning.findings import Finding, Severity
from orchestrator.planning.plan import Plan, PlannedCommand, PlannedNode
from orchestrator.planning.plan_json import decode_plan, encode_plan
from tests.fixtures import copied, journals

TEXT = st.text(max_size=6)
NAME = st.text("abc1", min_size=1, max_size=4)
COUNT = st.integers(0, 100)
REFS = st.builds(ServerRef, st.sampled_from(["lb1", "lb2"]), NAME, NAME)
COMMANDS = st.lists(st.builds(PlannedCommand, st.sampled_from(["drain", "stop"]), NAME, TEXT), max_size=2)
NODES = st.builds(
    PlannedNode,
    name=NAME,
    refs=st.lists(REFS, max_size=2).map(tuple),
    originals=st.dictionaries(
        REFS, st.builds(OriginalState, st.sampled_from(AdminState), COUNT, st.booleans()), max_size=2
    ),
    installed=st.none() | NAME,
    running=st.none() | NAME,
    steps=st.lists(st.sampled_from(["drain", "verify"]), max_size=2).map(tuple),
    reason=TEXT,
    failed_in=COUNT,
    target_version=st.sampled_from(["", "1.4.9"]),
    commands=COMMANDS.map(tuple),
    followers=st.lists(REFS, max_size=2).map(tuple),
    availability=st.none() | st.builds(Availability, st.sampled_from(Presence), TEXT),
    drain=st.none() | st.builds(DrainOutlook, COUNT, st.none() | COUNT, st.just(300.0), st.none()),
)
PLANS = st.builds(
    Plan,
    application=NAME,
    version=st.just("1.5.0"),
    policy=st.builds(Policy, serial=st.sampled_from([1, "30%", [1, "50%"]])),
    nodes=st.lists(NODES, max_size=3, unique_by=lambda node: node.name).map(tuple),
    batches=st.lists(st.lists(NAME, max_size=2).map(tuple), max_size=3).map(tuple),
    capacities=st.just(((Capacity("lb1", "shop", 4, 3, 2, carried=(("shop", "web2"),)),),)),
    prefetch=COMMANDS.map(tuple),
    findings=st.lists(
        st.builds(Finding.of, st.sampled_from(Severity), NAME, TEXT, NAME.map(Own), TEXT), max_size=2
    ).map(tuple),
    all_backups=st.frozensets(st.tuples(NAME, NAME), max_size=2),
)


def stored(plan: Plan) -> dict[str, object]:
    """The plan as it comes back from the journal."""
    found: dict[str, object] = msgspec.json.decode(msgspec.json.encode(encode_plan(plan)))
    return found


@given(PLANS)
def test_what_was_encoded_is_decoded(plan: Plan) -> None:
    assert decode_plan(stored(plan)) == plan


def test_a_forecast_is_decoded_without_what_it_is_based_on() -> None:
    outlook = DrainOutlook(7, 40, 300.0, DrainForecast(9, 12, 20, 8, 0.01))
    node = PlannedNode("web1", (), {}, "1.4.2", "1.4.2", ("drain",), "", drain=outlook)
    plan = Plan("shop", "1.5.0", Policy(), (node,), (("web1",),), ())
    assert decode_plan(stored(plan)) == plan


def test_a_plan_that_another_machine_has_published_has_defaults_for_the_rest() -> None:
    published = {
        "batches": [["web1"]],
        "nodes": [{"node": "web1", "wanted": "1.5.0"}],
        "policy": {"serial": 2},
    }
    plan = decode_plan(published, "shop", "1.5.0")
    assert (plan.application, plan.version, plan.batches) == ("shop", "1.5.0", (("web1",),))
    assert plan.policy == Policy(serial=2)
    assert plan.node("web1").refs == ()


@pytest.mark.parametrize("name", journals())
def test_plans_of_earlier_releases_are_read(tmp_path: Path, name: str) -> None:
    path = tmp_path / "journal.db"
    copied(name, path)
    with Journal(path, read_only=True) as journal:
        rollouts = [entry for entry in journal.entries() if entry.kind != "change"]
    plans = [decode_plan(entry.plan, entry.application, entry.version) for entry in rollouts]
    assert plans
    assert all(plan.node(name).refs for plan in plans for batch in plan.batches for name in batch)


def test_a_key_of_a_later_version_is_ignored() -> None:
    fields = {"batches": [], "nodes": [], "policy": {"serial": 1, "later": True}, "later": 1}
    assert decode_plan(fields, "shop", "1.5.0").policy == Policy()


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"batches": 1, "nodes": [], "policy": {}},
        {"batches": [], "nodes": [{"node": 3}], "policy": {}},
        {"batches": [], "nodes": [], "policy": {"serial": 0}},
        {
            "batches": [],
            "policy": {},
            "nodes": [
                {
                    "node": "web1",
                    "originals": [
                        {
                            "instance": "lb1",
                            "backend": "shop",
                            "server": "web1",
                            "admin": "unheard of",
                            "weight": 1,
                            "agent": False,
                        }
                    ],
                }
            ],
        },
    ],
)
def test_what_is_no_plan_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode_plan(fields)
