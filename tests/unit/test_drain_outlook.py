"""How long a drain will take, in the plan: the words, the warning, and where they come from."""

from pathlib import Path

import msgspec
import pytest

from backends.errors import PermissionDenied
from backends.model import SessionList
from orchestrator.events.drains import Drained
from orchestrator.events.events import AnyEvent, Record
from orchestrator.journal.drain_history import MAX_DRAINS, read_earlier_drains
from orchestrator.journal.entries import EntryHeader, Kind
from orchestrator.journal.store import Journal
from orchestrator.planning.application import Policy
from orchestrator.planning.drain_forecast import DrainForecast, Lifetimes, ResidualCurve
from orchestrator.planning.drain_outlook import DrainBasis, DrainOutlook, judge_drain
from orchestrator.planning.findings import Severity
from orchestrator.planning.plan import Plan
from orchestrator.planning.plan_json import encode_plan
from orchestrator.preflight.drains import SessionAges, add_drain_forecasts
from tests.support.fake_faults import Fault
from tests.support.fake_fleet import World

SOON = DrainForecast(9, 12, 20, 8, 0.01)


@pytest.mark.parametrize(
    ("outlook", "words"),
    [
        (DrainOutlook(7, 40, 300, SOON), "usually 12 s (9\u201320), 7 sessions now, oldest 40 s"),
        (
            DrainOutlook(1, None, 300, DrainForecast(0.1, 0.4, 0.9, 0.4, 0)),
            "usually 0.4 s (0.1\u20130.9), 1 session now",
        ),
        (
            DrainOutlook(2, 1, 300, DrainForecast(1.5, 6.2, 14.1, 4, 0)),
            "usually 6.2 s (2\u201314), 2 sessions now, oldest 1.0 s",
        ),
        (
            DrainOutlook(7, 400, 300, DrainForecast(90, 125, 500, 300, 0.2)),
            "usually 2:05 (1:30\u2013over 5:00), 7 sessions now, oldest 6:40",
        ),
        (
            DrainOutlook(240, 14_520, 300, DrainForecast(900, 1_000, 2_000, 900, 0.97)),
            "not over within 5:00 (97%), 240 sessions now, oldest 4h02",
        ),
        (
            DrainOutlook(7, 40, 300, None, persistent=True),
            "up to 5:00, as persistence brings clients back, 7 sessions now, oldest 40 s",
        ),
        (DrainOutlook(7, None, 300), "7 sessions now"),
        (
            DrainOutlook(0, None, 300, DrainForecast(0, 0, 0, 0, 0)),
            "no sessions now",
        ),
    ],
)
def test_the_words(outlook: DrainOutlook, words: str) -> None:
    assert str(outlook) == words


def test_where_it_is_known_from() -> None:
    curve = ResidualCurve((0.0, 5.0), (3, 0))
    both = DrainBasis(Lifetimes.estimate([1, 2], [curve] * 3), {"lb2": "no answer"})
    assert str(both) == "drains are forecast from session ages and 3 earlier drains (lb2: no answer)"
    assert DrainBasis(Lifetimes.estimate([], [curve])).source == "1 earlier drain"
    assert str(DrainBasis()) == ""
    young = DrainBasis(Lifetimes.estimate([1, 2]), young={"lb1": 40})
    assert str(young) == (
        "drains are forecast from session ages (lb1 has run for 40 s only: older sessions are not among them)"
    )
    assert str(DrainBasis(unread={"lb1": "denied"})) == "no forecast of drains: lb1: denied"


def outlook_of(sessions: int, lifetimes: Lifetimes) -> DrainOutlook:
    return DrainOutlook(sessions, None, 300, lifetimes.forecast(sessions, deadline_s=300))


def test_old_sessions_are_a_warning_before_anything_is_drained() -> None:
    ages = [1] * 228 + [400] * 11 + [14_520]
    lifetimes = Lifetimes.estimate(ages)
    found = judge_drain("web1", outlook_of(80, lifetimes), lifetimes, ages, Policy())
    assert found is not None
    assert (found.severity, found.subject) == (Severity.WARNING, "web1")
    assert found.text == (
        "12 of 240 sessions are older than 300 s (oldest 4h02): the drain will not end within drain_timeout;"
        ' on_remaining_sessions = "proceed" lets the stop cut them'
    )


def test_no_warning_from_the_tail_alone_or_when_it_will_probably_end() -> None:
    few = Lifetimes.estimate([280])
    assert few.forecast(50, deadline_s=300).busy_at_deadline > 0.5
    assert judge_drain("web1", outlook_of(50, few), few, [280], Policy()) is None
    short = Lifetimes.estimate([1] * 500 + [400])
    assert judge_drain("web1", outlook_of(3, short), short, [1] * 500 + [400], Policy()) is None
    assert judge_drain("web1", DrainOutlook(5, None, 300), short, [], Policy()) is None


def test_earlier_drains_alone_warn_too() -> None:
    lifetimes = Lifetimes.estimate([], [ResidualCurve((0.0, 150.0, 310.0), (40, 10, 10))])
    found = judge_drain(
        "web1", outlook_of(10, lifetimes), lifetimes, [], Policy(on_remaining_sessions="fail")
    )
    assert found is not None
    assert found.text.startswith("in earlier drains 27% of the sessions lasted longer than 300 s: the drain")
    assert found.text.endswith('on_remaining_sessions = "fail" ends the rollout there')


# -- in the plan ------------------------------------------------------------------------------


async def forecast(world: World, *drains: ResidualCurve) -> Plan:
    return add_drain_forecasts(await world.plan(), await SessionAges.read(world.balancer_group), drains)


@pytest.mark.virtual_time
async def test_each_node_to_be_drained_has_its_forecast() -> None:
    world = World()
    world.server("web1").leaving = [1e9, 1e9]
    world.server("web1").queue = 1
    world.server("web2", "lb2").leaving = [1e9] * 3
    for name, age in (("web1", 400), ("web2", 70)):
        for server in world.servers(name):
            server.older_by = age
    plan = await forecast(world)
    web1, web2, web3 = (node.drain for node in plan.nodes)
    assert web1 is not None
    assert web2 is not None
    assert web3 is not None
    assert web1.sessions == web2.sessions == 3
    assert web1.oldest_s == pytest.approx(400, abs=10)  # preflight takes a little time
    assert web2.oldest_s == pytest.approx(70, abs=10)
    assert (web3.sessions, web3.oldest_s) == (0, None)
    assert web1.forecast is not None
    assert plan.drain_basis.source == "session ages"
    fields = msgspec.json.decode(msgspec.json.encode(encode_plan(plan)))["nodes"][0]["drain"]
    assert fields["source"] == "session ages"
    assert fields["sessions"] == 3
    assert set(fields["forecast"]) == {"low_s", "median_s", "high_s", "most_gone_s", "busy_at_deadline"}


@pytest.mark.virtual_time
async def test_without_show_sess_only_the_source_is_another_one() -> None:
    world = World(instances=1)
    world.server("web1").leaving = [1e9] * 3
    curve = ResidualCurve((0.0, 5.0, 60.0), (20, 4, 0))
    both = await forecast(world, curve)
    world.balancers["lb1"].faults.always["list"] = Fault(PermissionDenied("lb1", "`show sess`: denied"))
    hidden = await forecast(world, curve)
    assert both.drain_basis.source == "session ages and 1 earlier drain"
    assert hidden.drain_basis.source == "1 earlier drain"
    assert hidden.drain_basis.unread == {"lb1": "`show sess`: denied"}
    before, after = both.nodes[0].drain, hidden.nodes[0].drain
    assert before is not None
    assert after is not None
    assert after.sessions == before.sessions == 3
    assert after.forecast is not None


@pytest.mark.virtual_time
async def test_too_many_sessions_are_not_read_and_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(instances=1)

    async def cut(servers: object) -> SessionList:
        return SessionList((), complete=False)

    monkeypatch.setattr(world.balancers["lb1"], "list_sessions", cut)
    plan = await forecast(world)
    assert "more than about 30,000 sessions" in str(plan.drain_basis)
    assert plan.nodes[0].drain is not None
    assert plan.nodes[0].drain.forecast is None


@pytest.mark.virtual_time
async def test_persistence_makes_a_forecast_void() -> None:
    world = World(instances=1)
    world.balancers["lb1"].cookie = "SRV"
    world.server("web1").sticky = 2
    plan = await forecast(world)
    assert str(plan.nodes[0].drain).startswith("up to 5:00, as persistence brings clients back, 2 sessions")


@pytest.mark.virtual_time
async def test_what_is_left_on_a_server_that_is_out_says_nothing_about_the_others() -> None:
    world = World(instances=1)
    world.take_out("web2")
    world.server("web2").leaving = [1e9] * 50
    world.server("web2").older_by = 5_000
    world.server("web1").leaving = [1e9] * 5
    plan = await forecast(world)
    assert plan.drain_basis.lifetimes.ages == 5
    assert not [finding for finding in plan.findings if "drain_timeout" in finding.text]


# -- earlier drains ---------------------------------------------------------------------------


def entry_of(kind: Kind, application: str = "shop") -> EntryHeader:
    return EntryHeader(
        kind=kind,
        application=application,
        version="2.0",
        operator="me",
        host="here",
        pid=1,
        began=1.0,
        plan={},
    )


def test_the_newest_drains_of_the_application_are_read(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"

    def write(journal: Journal, header: EntryHeader, *events: AnyEvent) -> None:
        entry = journal.begin(header)
        for seq, event in enumerate(events, 1):
            journal.append(entry, Record(seq, 1.0, event))

    def drained(left: int, arrived: int = 0) -> Drained:
        return Drained(node="web1", seconds=[0.0, 9.0], left=[left, 0], arrived=arrived)

    with Journal(path) as journal:
        write(journal, entry_of("upgrade"), *(drained(number) for number in range(1, MAX_DRAINS)))
        write(journal, entry_of("upgrade"), drained(100), drained(5, arrived=3))
        write(journal, entry_of("upgrade", "other"), drained(200))
        found = read_earlier_drains(journal, "shop")
        assert len(found) == MAX_DRAINS
        assert found[0] == ResidualCurve((0.0, 9.0), (100, 0))
        assert 200 not in {curve.left[0] for curve in found}
        assert 5 in {curve.left[0] for curve in found}  # of the older rollout
        assert [curve.left[0] for curve in found].count(5) == 1
