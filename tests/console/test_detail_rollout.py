"""The page of a node that a rollout keeps out names the rollout, of this process or of another one."""

import asyncio
from dataclasses import dataclass
from typing import Any

import msgspec

from backends.model import ServerRef
from console.tui.screens.detail import DetailScreen
from orchestrator.events.state import NodeState, RolloutState
from orchestrator.session.rollout_holds import describe_hold
from tests.console.dialog_values import ended
from tests.console.frozen_console import FrozenConsole
from tests.console.frozen_rollout import FAILURE, FrozenRollout, halfway
from tests.console.real_console import read

WEB3 = ServerRef("lb1", "shop", "web3")
GOES_ON = "the rollout to 1.5.0, which puts it back"
LEFT_OUT = "the rollout to 1.5.0, which has left it out; `ready` ends it"


def draining() -> FrozenRollout:
    story = FrozenRollout(halfway("drain")).upgraded("web1", "web2").batch("web3").begun("web3")
    return story.step("web3", "drain")


@dataclass(frozen=True, slots=True)
class OtherRollout:
    """Stands for the rollout of another process."""

    state: RolloutState
    running: bool = True
    who: str = "ann (process 4711 on bastion)"


@dataclass(frozen=True, slots=True)
class OnlyRollouts:
    """Stands for a session: what it knows of rollouts."""

    state: RolloutState
    active: OtherRollout | None = None
    is_rolling: bool = False


def hold(state: RolloutState, active: OtherRollout | None = None, node: str = "web3") -> str:
    return describe_hold(OnlyRollouts(state, active), WEB3, node)  # type: ignore[arg-type]


def test_only_the_servers_of_a_node_under_way_are_held() -> None:
    state = draining().session.state
    assert state.nodes["web3"].keeps_out("lb1", "shop", "web3")
    assert not state.nodes["web1"].keeps_out("lb1", "shop", "web1"), "it is back"
    assert not state.nodes["web3"].keeps_out("lb1", "shop", "web9")


def test_what_was_out_before_is_not_the_rollouts() -> None:
    state = draining().session.state
    (first, *others) = state.nodes["web3"].originals
    different: list[dict[str, Any]] = [{"admin": "maint"}, {"weight": 0}]
    for changes in different:
        state.nodes["web3"].originals = (msgspec.structs.replace(first, **changes), *others)
        assert not state.nodes["web3"].keeps_out("lb1", "shop", "web3")
        assert state.nodes["web3"].keeps_out("lb2", "shop", "web3")


def test_a_rollout_of_another_process_is_named_with_who_runs_it() -> None:
    other = draining().session.state
    assert hold(RolloutState(), OtherRollout(other)) == (
        "the rollout to 1.5.0 of ann (process 4711 on bastion), which puts it back"
    )
    assert hold(RolloutState(), OtherRollout(other, running=False)).endswith(
        "has left it out; `ready` ends it"
    )
    assert hold(RolloutState(), OtherRollout(other), "web4") == ""


def test_a_node_that_was_put_back_is_not_held() -> None:
    state = draining().session.state
    for word in (NodeState.PUT_BACK, NodeState.SKIPPED, NodeState.UPGRADED, NodeState.HELD):
        state.nodes["web3"].state = word
        assert hold(state) == ""
    for word in (NodeState.FAILED, NodeState.INTERRUPTED):
        state.nodes["web3"].state = word
        assert hold(state) == LEFT_OUT


def test_the_page_of_a_node_that_drains() -> None:
    assert f"drain by {GOES_ON}" in asyncio.run(page_of_web3(draining().console()))


def test_the_page_of_a_node_that_has_failed() -> None:
    console = draining().failed("web3", "drain", FAILURE).ends(ended()).console()
    assert f"drain by {LEFT_OUT}" in asyncio.run(page_of_web3(console))


async def page_of_web3(console: FrozenConsole) -> str:
    async with console.run_test(size=(160, 40)) as pilot:
        await pilot.press("o", "home", "down", "down", "enter")
        await pilot.pause()
        assert isinstance(console.screen, DetailScreen)
        return read(console.screen)
