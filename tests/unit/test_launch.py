"""The start of a rollout in another process: what is said if it does not begin, and whose lock it breaks."""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import msgspec
import pytest

from console.tui.workspace import Workspace
from orchestrator.engine.control import RolloutControl
from orchestrator.engine.facts import PlanFacts
from orchestrator.errors import Locked
from orchestrator.events.actor import Actor
from orchestrator.events.event_bus import EventBus
from orchestrator.local.launch import Launcher, LaunchReply, RolloutRequest
from orchestrator.locks.file import Holder
from orchestrator.session.rollout_request import carry_out_request
from tests.support.virtual_time import VirtualClock

if TYPE_CHECKING:
    from orchestrator.session.session import Session

REQUEST = RolloutRequest(
    config_file="/etc/rolldeck/config.toml",
    digest="",
    application="shop",
    action="upgrade",
    kind="upgrade",
    facts=PlanFacts("shop", "2.0", ()),
    actor=Actor("ann@here", "console"),
)
ANN = Holder(operator="ann@here", host="here", pid=7, since=1.25, what="upgrade to 2.0")
BOB = msgspec.structs.replace(ANN, operator="bob@here", pid=8)


def python(script: str) -> Sequence[str]:
    return (sys.executable, "-c", script)


@pytest.mark.parametrize(
    ("command", "text"),
    [
        (("/no/such/program",), "cannot be started: No such file or directory"),
        (python("raise SystemExit('out of\\nmemory')"), "ended before it began: out of memory"),
        (python("print('no JSON')"), "ended before it began: it wrote nothing"),
    ],
    ids=["no program", "an end", "no reply"],
)
async def test_a_process_that_does_not_begin_is_refused_with_the_reason(
    command: Sequence[str], text: str
) -> None:
    assert await Launcher(command, {})(REQUEST) == LaunchReply(
        status="refused", text=f"the rollout's process {text}"
    )


async def test_a_full_disk_is_the_reason_and_a_bug_is_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
        reply = await Launcher(("true",), {})(REQUEST)
    assert (reply.status, "cannot be started: No such file" in reply.text) == ("refused", True)
    with pytest.raises(ValueError, match="null byte"):
        await Launcher(("true\0",), {})(REQUEST)


async def test_a_bug_leaves_no_rollout_that_is_being_started() -> None:
    async def launch(_: RolloutRequest) -> LaunchReply:
        raise ZeroDivisionError

    session = SimpleNamespace(
        bus=EventBus(VirtualClock()),
        links=SimpleNamespace(local=None),
        application=SimpleNamespace(name="shop"),
    )
    config = SimpleNamespace(file=REQUEST.config_file, digest="")
    workspace = Workspace(cast("Session", session), cast("Any", None), cast("Any", config), launch)
    proposal = SimpleNamespace(kind="upgrade", facts=REQUEST.facts, reason="")
    with pytest.raises(ZeroDivisionError):
        await workspace.start(cast("Any", proposal), "upgrade", REQUEST.actor, locked_by=None, options={})
    assert not workspace.starting


class Application:
    """A session whose lock somebody else holds."""

    def __init__(self, holder: Holder | None) -> None:
        self.bus = EventBus(VirtualClock())
        self.control = RolloutControl(self.bus.clock, self.bus)
        self.work_log = self
        self.breaks: list[bool] = []
        self._holder = holder

    async def holder(self) -> Holder | None:
        return self._holder

    async def run(self, agreed: object, *, break_lock: bool, **_: Any) -> None:
        self.breaks.append(break_lock)
        raise Locked("somebody works on it")


@pytest.mark.parametrize(
    ("holder", "locked_by", "breaks"),
    [(ANN, None, False), (ANN, ANN, True), (BOB, ANN, False), (None, ANN, False)],
    ids=["not agreed", "agreed", "another one", "nobody any more"],
)
async def test_only_the_lock_of_the_one_who_was_shown_is_broken(
    holder: Holder | None, locked_by: Holder | None, *, breaks: bool
) -> None:
    application, replies = Application(holder), list[LaunchReply]()
    request = msgspec.structs.replace(REQUEST, action="resume", locked_by=locked_by)
    request = msgspec.json.decode(msgspec.json.encode(request), type=RolloutRequest)
    await carry_out_request(cast("Session", application), request, replies.append)
    assert application.breaks == [breaks]
    assert [reply.status for reply in replies] == ["refused"]
