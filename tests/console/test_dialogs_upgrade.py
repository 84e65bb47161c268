"""The dialog for an upgrade: bad input is explained where it is, and Enter continues."""

import pytest

from orchestrator.planning.application import Policy
from tests.console.dialog_values import HOSTILE, cut_off, open_dialog, shown, type_in
from widgets.dialogs.upgrade import UpgradeAnswer, UpgradeDialog, parse_serial


def dialog(policy: Policy | None = None, now: str = "1.4.2 on 4 nodes") -> UpgradeDialog:
    return UpgradeDialog("shop", now, policy or Policy())


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_everything_is_in_sight(size: tuple[int, int]) -> None:
    async with open_dialog(dialog(), size) as (app, _):
        text = "\n".join(shown(app))
        for words in ("Upgrade shop", "now: 1.4.2 on 4 nodes", "◉ automatic", "○ step by step", "[ Cancel ]"):
            assert words in text
        assert cut_off(app, size) == []


async def test_a_version_and_enter_are_enough() -> None:
    async with open_dialog(dialog()) as (app, pilot):
        await type_in(pilot, "1.5.0")
        await pilot.press("enter")
    assert app.answers == [UpgradeAnswer("1.5.0", "1", "none")]


async def test_the_configuration_fills_the_fields() -> None:
    async with open_dialog(dialog(Policy(serial=[1, "25%"], confirm="batch"))) as (app, pilot):
        await type_in(pilot, "2")
        await pilot.press("enter")
    assert app.answers == [UpgradeAnswer("2", ["1", "25%"], "batch")]


async def test_all_fields_by_keys() -> None:
    async with open_dialog(dialog()) as (app, pilot):
        await type_in(pilot, "1.5.0")
        await pilot.press("tab")
        await type_in(pilot, ",50%")
        await pilot.press("tab")
        await type_in(pilot, "web1 web2")
        await pilot.press("tab", "down", "down", "down")
        assert "▸◉ step by step" in "\n".join(shown(app))
        await pilot.press("tab", "tab", "enter")
    assert app.answers == [UpgradeAnswer("1.5.0", ["1", "50%"], "step", ("web1", "web2"))]
    answer = app.answers[0]
    assert answer is not None
    assert answer.changes == {"serial": ["1", "50%"], "confirm": "step"}


async def test_escape_and_cancel_are_no() -> None:
    for keys in (["escape"], ["shift+tab", "shift+tab", "enter"]):
        async with open_dialog(dialog()) as (app, pilot):
            await type_in(pilot, "1.5.0")
            await pilot.press(*keys)
        assert app.answers == [None]


@pytest.mark.parametrize(
    ("typed", "explained"),
    [("", "✗ type the version"), ("-x", "✗ not a version: letters, digits"), ("a b", "✗ not a version")],
)
async def test_a_bad_version_is_explained(typed: str, explained: str) -> None:
    async with open_dialog(dialog()) as (app, pilot):
        await type_in(pilot, typed)
        await pilot.press("enter")
        assert explained in "\n".join(shown(app))
        assert app.focused is not None
        assert app.focused.id == "version"
        assert cut_off(app) == []
        assert app.answers == []


async def test_bad_batches_are_explained_until_they_are_put_right() -> None:
    async with open_dialog(dialog()) as (app, pilot):
        await type_in(pilot, "1.5.0")
        await pilot.press("tab")
        await type_in(pilot, "x")
        await pilot.press("enter")
        assert "✗ found '1x', expected a number or a percentage" in "\n".join(shown(app))
        await pilot.press("backspace")
        assert "nodes at once: 2, 30%" in "\n".join(shown(app))
        await pilot.press("enter")
    assert app.answers == [UpgradeAnswer("1.5.0", "1", "none")]


@pytest.mark.parametrize("typed", ["", "0", "0%", "101%", "1,,2", "-1", "one"])
def test_what_is_no_batch_size(typed: str) -> None:
    with pytest.raises(ValueError, match="found"):
        parse_serial(typed)


async def test_hostile_names_are_text() -> None:
    async with open_dialog(UpgradeDialog(HOSTILE, HOSTILE, Policy())) as (app, pilot):
        text = "\n".join(shown(app))
        assert "Upgrade we[b1]\\x1b[31m[/b]" in text
        assert "now: we[b1]\\x1b[31m[/b]" in text
        assert "\x1b" not in text
        await pilot.press("escape")


async def test_without_color_the_choice_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with open_dialog(dialog(Policy(confirm="node"))) as (app, _):
        text = "\n".join(shown(app))
        assert "◉ each node" in text
        assert "○ automatic" in text
