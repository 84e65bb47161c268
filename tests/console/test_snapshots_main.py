"""How the main view looks, and what lies over it."""

from dataclasses import replace

from textual.pilot import Pilot

from backends.model import Level
from tests.console.conftest import Camera, sees, silence, small, types
from tests.console.dialog_values import HOSTILE
from tests.console.still import BUSY, CALM, TROUBLED, Scene, Still


def test_all_is_well(looks_as_before: Camera) -> None:
    assert looks_as_before(lambda: Still(CALM), sees("web6"))


def test_problems_and_a_silent_load_balancer(looks_as_before: Camera) -> None:
    assert looks_as_before(lambda: Still(TROUBLED), sees("lb2: connection refused"))


def test_problems_seen_by_both_and_one_reloaded(looks_as_before: Camera) -> None:
    scene = replace(TROUBLED, silent="", reloaded="lb1")
    assert looks_as_before(lambda: Still(scene), sees("reloaded 4 s ago"), "down", "x", "down", "x")


def test_a_name_that_means_harm(looks_as_before: Camera) -> None:
    scene = Scene((*BUSY[:2], replace(BUSY[2], name=HOSTILE), replace(TROUBLED.machines[5], name="日本語-7")))
    assert looks_as_before(lambda: Still(scene), sees("▼ L4CON"))


def test_a_filter(looks_as_before: Camera) -> None:
    assert looks_as_before(lambda: Still(TROUBLED), "slash", types("web2"), sees("web2"))


def test_read_only_and_a_grey_key_says_why(looks_as_before: Camera) -> None:
    scene = replace(CALM, level=Level.OPERATOR)
    assert looks_as_before(lambda: Still(scene), "d", sees("changes need admin"))


@small
def test_another_application(looks_as_before: Camera) -> None:
    applications = ("shop", "api", "billing")
    assert looks_as_before(lambda: Still(CALM, applications=applications), "g", sees("billing"), "down")


def test_the_help(looks_as_before: Camera) -> None:
    assert looks_as_before(lambda: Still(CALM), "question_mark", sees("page-up"))


def test_the_palette(looks_as_before: Camera) -> None:
    assert looks_as_before(
        lambda: Still(CALM),
        "ctrl+p",
        sees("Search for commands"),
        types("web3 d"),
        sees("web3 drain"),
        silence,
    )


@small
def test_a_terminal_too_small(looks_as_before: Camera) -> None:
    async def shrink(pilot: Pilot[str]) -> None:
        await pilot.resize_terminal(70, 20)

    assert looks_as_before(lambda: Still(CALM), shrink, sees("needs 80 by 24"))


def test_nodes_instead_of_servers(looks_as_before: Camera) -> None:
    assert looks_as_before(lambda: Still(replace(TROUBLED, silent="")), "v", sees("nodes"))


def test_one_node_closely(looks_as_before: Camera) -> None:
    assert looks_as_before(lambda: Still(replace(TROUBLED, silent="")), "end", "enter", sees("Journal"))
