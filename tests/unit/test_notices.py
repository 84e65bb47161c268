"""What operators are told of: state and health of servers, flapping, reloads, events, the journal."""

from collections.abc import Iterable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from backends.local_machine import SystemClock
from backends.model import Admin, Server
from orchestrator.events import events
from orchestrator.events.actor import Actor
from orchestrator.events.event_bus import EventBus
from orchestrator.events.events import Record
from orchestrator.journal.entries import Entry, Kind
from orchestrator.live.notices import MAX_NOTICES, Notice, NoticeLog, last_changes, notice_of_entry
from orchestrator.live.poller import BalancerView, FleetView, LiveView
from orchestrator.live.view_changes import ViewChanges
from orchestrator.local.rollout import LocalRollout
from orchestrator.session.links import SessionLinks
from orchestrator.session.live_history import LiveHistory
from orchestrator.session.recovery import roll_back_after
from orchestrator.session.session import Session
from tests.support.console_values import server
from tests.support.fake_fleet import World
from tests.support.journal import NOWHERE, blank_work_log
from tests.support.live_views import DOWN, MAINT, balancer, following


class Watched:
    """Two load balancers that are compared from read to read."""

    def __init__(self, count: int = 2) -> None:
        self.log = NoticeLog()
        self.at = 0.0
        self._changes = ViewChanges()
        self._names = [f"web{number}" for number in range(1, count + 1)]
        self._views = [
            balancer(0.0, [server(node, name) for node in self._names], name=name) for name in ("lb1", "lb2")
        ]
        self.take(self._views)

    def take(self, views: Iterable[BalancerView]) -> list[str]:
        self._views = list(views)
        for notice in self._changes.compare(FleetView(tuple(self._views)), self.at, {}):
            self.log.add(notice)
        return self.texts

    @property
    def texts(self) -> list[str]:
        return [f"{notice.subject} {notice.text}".strip() for notice in self.log.notices]

    def read(self, **states: dict[str, Any]) -> list[str]:
        """One second later, with some servers in another state on both load balancers."""
        self.at += 1

        def now(name: str) -> list[Server]:
            return [server(node, name, **states.get(node, {})) for node in self._names]

        return self.take(following(view, self.at, now(view.name)) for view in self._views)


def test_nothing_is_said_while_nothing_changes() -> None:
    watched = Watched()
    assert watched.read() == watched.read() == []


def test_both_load_balancers_together_make_one_notice() -> None:
    watched = Watched()
    assert watched.read(web1=MAINT) == ["web1 ready → maint"]
    assert watched.log.notices[0].places == ("lb1", "lb2")
    assert watched.read() == ["web1 ready → maint", "web1 maint → ready"]
    assert [notice.weight for notice in watched.log.notices] == ["change", "good"]
    assert watched.read(web2={"weight": 50})[-1] == "web2 weight 1 → 50"


def test_a_check_on_its_way_says_nothing_and_a_flapping_one_is_called_so() -> None:
    watched = Watched()
    rising = {"status": "UP 1/2", "check_health": 2}
    for _ in range(2):
        watched.read(web1=DOWN)
        watched.read(web1=rising)
        watched.read()
    assert watched.texts == [
        "web1 ▲ up → ▼ L4CON",
        "web1 ▼ L4CON → ▲ up",
        "web1 ▲ up → ▼ L4CON",
        "web1 ▼ L4CON → ▲ up · flaps: 4 changes in 5.0 s",
    ]


def test_a_drained_server_that_is_down_alarms_nobody() -> None:
    """A rollout sets it down itself, so that HAProxy checks it anew before it goes back."""
    watched = Watched()
    drained = {"admin": Admin.FORCED_DRAIN, "status": "DRAIN"}
    watched.read(web1=drained)
    watched.read(web1={**drained, **DOWN})
    watched.read(web1=drained)
    assert [(notice.text, notice.weight) for notice in watched.log.notices] == [
        ("ready → drain", "change"),
        ("▲ up → ▼ L4CON", "change"),
        ("▼ L4CON → ▲ up", "good"),
    ]


def test_many_servers_at_once_are_one_line() -> None:
    watched = Watched(40)
    assert watched.read(**{f"web{number}": DOWN for number in range(1, 31)}) == ["30 servers: ▲ up → ▼ L4CON"]


def test_reloads_and_silence_of_a_load_balancer() -> None:
    watched = Watched()
    first, second = watched._views
    silent = replace(first, failing="connection refused", state="stale")
    assert watched.take([silent, second]) == []
    watched.at = 2.0
    assert watched.take([silent, second]) == ["lb1 connection refused"]
    watched.at = 12.0
    watched.take([replace(first, read_at=12.0), replace(second, reloaded_at=11.0)])
    assert watched.texts == [
        "lb1 connection refused",
        "lb1 answers again, after 12 s",
        "lb2 reloaded; its counters began again",
    ]


def test_new_servers_are_no_change() -> None:
    watched = Watched()
    grown = [server(name, "lb1", **DOWN) for name in ("web1", "web2", "web3")]
    assert watched.take([balancer(1.0, grown), watched._views[1]]) == []


def test_events_that_matter_are_notices_and_repetitions_are_not() -> None:
    log = NoticeLog()
    waiting = events.Waiting(node="web1", step="drain", reason="7 sessions left", remaining_s=10)
    done = events.StepDone(node="web1", step="drain", changed=True, detail="drained", duration_s=1.1)
    failed = events.NodeFailed(node="web2", step="verify", error="it answers 503")
    asked = events.DecisionRequested(question="q1", subject="web2", text="what now?", choices=["retry"])
    said: list[events.AnyEvent] = [waiting, done, failed, asked]
    for number, event in enumerate(said):
        log.add_record(Record(number, float(number), event))
    assert [(notice.subject, notice.text, notice.weight) for notice in log.notices] == [
        ("web1", "drain: done in 1.1 s: drained", "info"),
        ("web2", "verify: failed: it answers 503", "bad"),
        ("web2", "asks: what now?", "change"),
    ]


def entry(number: int, kind: Kind, plan: dict[str, object], result: str = "healthy") -> Entry:
    return Entry(number, kind, "shop", "1.5.0", "ann", "here", 1, 10.0, 20.0, result, "", None, plan, True)


def test_the_journal_says_who_changed_a_node_last() -> None:
    drain = entry(2, "change", {"action": "drain", "nodes": ["web1"]})
    upgrade = entry(1, "upgrade", {"batches": [["web1"], ["web2", 7], "x"]}, "degraded")
    assert last_changes([drain, upgrade]) == {"web1": drain, "web2": upgrade}
    assert notice_of_entry(drain).text == "drain web1 by ann: healthy"
    assert notice_of_entry(upgrade).text == "upgrade to 1.5.0 by ann: degraded"
    log = NoticeLog()
    log.add(Notice(30.0, "web1", "ready → maint", "change"))
    log.add_history([drain, upgrade])
    assert [notice.at for notice in log.notices] == [20.0, 20.0, 30.0]


def test_only_the_last_notices_are_kept() -> None:
    log = NoticeLog()
    for number in range(2 * MAX_NOTICES):
        log.add(Notice(float(number), "web1", str(number), "info"))
    assert len(log.notices) == MAX_NOTICES


async def test_rollouts_of_other_processes_and_machines_are_told_too() -> None:
    clock = SystemClock()
    bus = EventBus(clock)
    world = World(nodes=1)
    made = Session(world.application, bus, work_log=blank_work_log(bus), roll_back_after=roll_back_after)
    history = LiveHistory(made, LiveView(("lb1",), clock))
    paused = Record(1, 5.0, events.Paused(who="ann", why="lunch"))
    elsewhere = SimpleNamespace(is_local=False, records=[paused])
    with patch.object(Session, "active", property(lambda _: elsewhere)):
        history.update()
        history.update()
        elsewhere.records.append(Record(2, 9.0, events.Resumed(who="ann", duration_s=4.0)))
        history.update()
    assert [notice.at for notice in history.notices.notices] == [5.0, 9.0]
    assert history.notices.notices[0].text == "paused by ann: lunch"
    await history.read_journal()  # there is none: that is no error
    assert history.describe_change("web1") == ""


async def test_a_rollout_of_this_machine_is_told_once() -> None:
    clock = SystemClock()
    bus = EventBus(clock)
    local = LocalRollout("shop", NOWHERE / "socket", Actor("ann@here"))
    made = Session(
        World(nodes=1).application,
        bus,
        work_log=blank_work_log(bus),
        roll_back_after=roll_back_after,
        links=SessionLinks(local=local),
    )
    history = LiveHistory(made, LiveView(("lb1",), clock))
    local.take([Record(1, 5.0, events.Paused(who="ann", why="lunch"))])
    assert [notice.text for notice in history.notices.notices] == ["paused by ann: lunch"]
