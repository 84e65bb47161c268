"""Hooks of a rollout: told at the right moments, able to object, and never in the way of an abort."""

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import pytest

from backends.errors import Refused
from orchestrator.engine.control import ABORT, RETRY, SKIP
from orchestrator.events.actor import Actor
from orchestrator.events.base import Event
from orchestrator.events.events import (
    HookFired,
    NodeSkipped,
    NodeStarted,
    NodeUpgraded,
    Record,
    RolloutEnded,
    StepStarted,
)
from orchestrator.events.moments import MOMENTS, Moment, MomentSpec
from tests.support.fake_fleet import World, answer

EVERY: tuple[Moment, ...] = ("start", "node", "pause", "failure", "end")


@dataclass
class FakeHook:
    """Remembers what it was told; takes as long, and objects, as the test says."""

    name: str = "hooks.0 (command)"
    on: Collection[Moment] = EVERY
    stops: bool = False
    objects_to: Collection[str] = ()
    seconds: float = 0.0
    told: list[dict[str, Any]] = field(default_factory=list)
    ended: int = 0  # how often it was cancelled
    defect: bool = False

    async def fire(self, payload: bytes) -> None:
        told = msgspec.json.decode(payload)
        self.told.append(told)
        try:
            await asyncio.sleep(self.seconds)
        except asyncio.CancelledError:
            self.ended += 1
            raise
        if self.defect:
            raise ZeroDivisionError
        if told["moment"] in self.objects_to:
            raise Refused(self.name, "exit status 1: no")

    def moments(self) -> list[str]:
        return [f"{payload['moment']} {payload['node']}".strip() for payload in self.told]


def world(*hooks: FakeHook, **options: Any) -> World:
    made = World(**{"nodes": 3, **options})
    made.application = replace(made.application, hooks=hooks)
    return made


def order(made: World, *kinds: type[Event]) -> list[str]:
    """Events of these kinds in their order, by tag."""
    found: list[Record] = [record for record in made.records if isinstance(record.event, kinds)]
    return [str(type(record.event).__struct_config__.tag) for record in found]


@pytest.mark.virtual_time
async def test_each_moment_is_told_with_what_is_known_then() -> None:
    hook = FakeHook()
    made = world(hook)
    ended = await made.upgrade()
    assert ended.result == "healthy"
    assert hook.moments() == ["start", "node web1", "node web2", "node web3", "end"]
    first, last = hook.told[0], hook.told[-1]
    assert (first["schema"], first["application"], first["version"]) == (2, "shop", "2.0")
    assert first["before"] == {"web1": "1.0", "web2": "1.0", "web3": "1.0"}
    assert (first["operator"], first["rollout"]) == ("me@here", None)
    assert (last["result"], last["upgraded"]) == ("healthy", ["web1", "web2", "web3"])
    assert (last["failed"], last["out_of_rotation"]) == ([], [])
    assert all(event.ok and not event.error for event in made.events(HookFired))


@pytest.mark.virtual_time
async def test_only_the_moments_that_it_wants() -> None:
    hook = FakeHook(on=["end"])
    await world(hook).upgrade()
    assert hook.moments() == ["end"]


@pytest.mark.virtual_time
async def test_a_row_of_the_table_is_enough_for_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MOMENTS, "skip", MomentSpec(NodeSkipped, {"node": "node", "who": "who"}))
    hook = FakeHook(on=["skip"])
    made = world(hook, interactive=True, confirm="node")
    async with asyncio.TaskGroup() as group:
        group.create_task(made.upgrade())
        await answer(made, SKIP)
        await answer(made, ABORT)
    assert [(told["moment"], told["node"], told["who"]) for told in hook.told] == [("skip", "web1", "ann")]


@pytest.mark.virtual_time
async def test_an_objection_to_the_start_touches_nothing() -> None:
    made = world(FakeHook(stops=True, objects_to=["start"]))
    made.nodes["web1"].has_prefetch = True
    ended = await made.upgrade()
    assert not made.touched()
    assert ended.result == "degraded"
    assert ended.reason == "hook hooks.0 (command) at start: exit status 1: no; no node was touched"
    assert ended.pending == ["web1", "web2", "web3"]


@pytest.mark.virtual_time
async def test_an_objection_that_is_ignored_is_only_an_event() -> None:
    made = world(FakeHook(objects_to=EVERY))
    ended = await made.upgrade()
    assert ended.result == "healthy"
    assert {event.error for event in made.events(HookFired)} == {"exit status 1: no"}


@pytest.mark.virtual_time
async def test_an_objection_after_a_node_takes_no_further_one_out() -> None:
    made = world(FakeHook(stops=True, objects_to=["node"], seconds=3))
    ended = await made.upgrade()
    assert (ended.result, ended.upgraded, ended.pending) == ("degraded", ["web1"], ["web2", "web3"])
    assert ended.reason == "hook hooks.0 (command) at node of web1: exit status 1: no"


@pytest.mark.virtual_time
async def test_the_next_turn_begins_when_all_have_been_told() -> None:
    made = world(FakeHook(on=["node"], seconds=7), FakeHook(on=["node"], seconds=3))
    await made.upgrade()
    one = ["node_started", "node_upgraded", "hook_fired", "hook_fired"]
    assert order(made, NodeStarted, NodeUpgraded, HookFired) == one * 3


@pytest.mark.virtual_time
async def test_an_objection_at_the_end_changes_nothing() -> None:
    made = world(FakeHook(stops=True, objects_to=["end"]))
    ended = await made.upgrade()
    assert (ended.result, ended.reason) == ("healthy", "")
    assert order(made, RolloutEnded, HookFired)[-2:] == ["rollout_ended", "hook_fired"]
    assert made.rollout is not None
    assert made.rollout.defect is None


@pytest.mark.virtual_time
async def test_a_failure_is_told_and_so_is_each_further_one() -> None:
    hook = FakeHook(on=["failure", "end"])
    made = world(hook, interactive=True)
    made.nodes["web1"].faults.add("install", Refused("web1", "disk full"), times=2)
    async with asyncio.TaskGroup() as group:
        rollout = group.create_task(made.upgrade())
        await answer(made, RETRY)
        await answer(made, SKIP)
    assert rollout.result().result == "degraded"
    assert hook.moments() == ["failure web1", "failure web1", "end"]
    assert (hook.told[0]["step"], "disk full" in hook.told[0]["error"]) == ("install", True)
    assert hook.told[-1]["failed"] == ["web1"]
    assert [node["node"] for node in hook.told[-1]["out_of_rotation"]] == ["web1"]


@pytest.mark.virtual_time
async def test_a_failed_node_is_in_maintenance_before_its_hook_has_answered() -> None:
    made = world(FakeHook(on=["failure"], seconds=1000, stops=True))
    made.nodes["web1"].faults.add("install", Refused("web1", "disk full"))
    seen: list[list[str]] = []
    made.at(500, lambda: seen.append([str(state) for state in made.admin("web1")]))
    ended = await made.upgrade()
    assert seen == [["maint", "maint"]]
    assert ended.failed == ["web1"]


@pytest.mark.virtual_time
async def test_nobody_waits_for_the_hook_of_a_pause() -> None:
    hook = FakeHook(on=["pause"], seconds=500)
    made = world(hook)
    made.at(1, lambda: made.control.pause(Actor("ann"), "lunch"))
    made.at(2, lambda: made.control.resume(Actor("ann")))
    ended = await made.upgrade()
    assert ended.result == "healthy"
    assert (hook.told[0]["who"], hook.told[0]["reason"]) == ("ann", "lunch")
    assert order(made, StepStarted, HookFired)[-1] == "hook_fired"


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    "moment",
    [
        *("start", "node", "end"),
        *(pytest.param(moment, marks=pytest.mark.long) for moment in ("pause", "failure")),
    ],
)
async def test_an_abort_waits_for_no_hook(moment: Moment) -> None:
    hook = FakeHook(on=[moment], seconds=30_000, stops=True)
    made = world(hook)
    if moment == "failure":
        made.nodes["web1"].faults.add("install", Refused("web1", "disk full"))
    if moment == "pause":
        made.at(1, lambda: made.control.pause(Actor("ann")))
    made.at(500, lambda: made.control.abort(Actor("ann")))
    ended = await made.upgrade()
    assert made.clock.monotonic() < 600
    assert hook.ended == 1
    [fired] = made.events(HookFired)
    assert (fired.ok, fired.error) == (False, "stopped, because the rollout was aborted")
    assert ended.result == ("healthy" if moment == "end" else "aborted")


@pytest.mark.virtual_time
async def test_an_abort_at_once_ends_hooks_too_and_the_end_is_told_of_it() -> None:
    slow, told = FakeHook(on=["node"], seconds=30_000), FakeHook(on=["end"])
    made = world(slow, told)
    made.at(500, lambda: made.control.abort(Actor("ann"), "now", immediate=True))
    assert (await made.upgrade()).result == "aborted"
    assert (slow.ended, told.told[0]["result"], told.told[0]["reason"]) == (
        1,
        "aborted",
        "aborted by ann: now",
    )


@pytest.mark.virtual_time
async def test_an_abort_before_the_start_tells_only_the_end() -> None:
    hook = FakeHook()
    made = world(hook)
    plan = await made.plan()
    made.control.abort(Actor("ann"))
    assert (await made.carry_out(plan)).result == "aborted"
    assert hook.moments() == ["end"]


@pytest.mark.virtual_time
async def test_a_defect_of_a_hook_leaves_no_node_half_way() -> None:
    made = world(FakeHook(defect=True))
    assert (await made.upgrade()).result == "healthy"
    assert {event.error for event in made.events(HookFired)} == {"internal error: ZeroDivisionError"}


def full(when: Callable[[HookFired], bool]) -> Callable[[Record], None]:
    """A journal that cannot take some events of hooks."""

    def read(record: Record) -> None:
        if isinstance(record.event, HookFired) and when(record.event):
            raise OSError("disk full")

    return read


@pytest.mark.virtual_time
async def test_a_journal_that_cannot_take_an_end_hook_still_returns_the_end() -> None:
    made = world(FakeHook(on=["end"]))
    made.bus.subscribe(full(lambda event: event.moment == "end"))
    assert (await made.upgrade()).result == "healthy"
    assert made.rollout is not None
    assert isinstance(made.rollout.defect, OSError)


@pytest.mark.virtual_time
async def test_a_journal_that_cannot_take_a_hook_stops_the_rollout() -> None:
    made = world(FakeHook(on=["node"]))
    made.bus.subscribe(full(lambda event: True))
    ended = await made.upgrade()
    assert (ended.result, ended.upgraded, ended.out_of_rotation) == ("degraded", ["web1"], [])
