"""The dialog for an upgrade: bad input is explained where it is, and Enter continues."""

import asyncio

import pytest
from textual.app import App

from orchestrator.planning.application import Policy
from orchestrator.session.version_choices import VersionChoice, VersionChoices
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
    for keys in (["escape"], ["shift+tab", "shift+tab", "shift+tab", "enter"]):
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


CHOICES = (
    VersionChoice("1.6.0", is_available=True),
    VersionChoice(
        "1.5.1", is_available=True, failed="failed on web2 in rollout 12", ended="degraded in rollout 12"
    ),
    VersionChoice("1.5.0", is_available=True, nodes=4, ended="healthy in rollout 11"),
    VersionChoice("1.4.2", is_available=True, ended="healthy in rollout 9"),
    VersionChoice("1.4.1", is_available=False, ended="healthy in rollout 7"),
)


async def sees(app: App[None], *words: str) -> str:
    """Wait until the screen says all of this; return what it says."""

    def seen() -> bool:
        return all(text in "\n".join(shown(app)) for text in words)

    async with asyncio.timeout(20):
        while not seen():
            await asyncio.sleep(0.02)
    return "\n".join(shown(app))


async def test_versions_to_choose_from_come_while_it_is_open() -> None:
    upgrade = dialog()
    async with open_dialog(upgrade) as (app, pilot):
        await pilot.press("down")  # there is nothing to pick yet
        upgrade.show_versions(VersionChoices(CHOICES[2:]), is_complete=False)
        await sees(app, "now: 1.4.2 on 4 nodes · ↑↓ 3 versions · asking the nodes…")
        upgrade.show_versions(VersionChoices(CHOICES))
        await pilot.press("down", "down")
        text = await sees(app, "▸✗ 1.5.1  failed on web2 in rollout 12")
        assert "  1.5.0  installed on 4 · healthy in rollout 11" in text
        assert "1.4.1" not in text
        await pilot.press("down", "down", "down", "down")  # the last one is the end
        text = await sees(app, "▸  1.4.1  healthy in rollout 7 · not listed any more")
        assert "1.6.0" not in text
        assert cut_off(app) == []
        await pilot.press("pageup")
        await sees(app, "▸  1.6.0")
        await pilot.press("pageup", "pagedown", "pagedown")
        await sees(app, "▸  1.4.1")
        await pilot.press("up", "enter")
    assert app.answers == [UpgradeAnswer("1.4.2", "1", "none")]


async def test_a_version_can_still_be_typed_and_the_mouse_picks_one() -> None:
    upgrade = dialog()
    upgrade.show_versions(VersionChoices(CHOICES, "web1 does not answer"))  # before it is open
    async with open_dialog(upgrade) as (app, pilot):
        await sees(app, "web1 does not answer")
        assert cut_off(app) == []
        await type_in(pilot, "1.5.0")
        await sees(app, "▸  1.5.0")
        await type_in(pilot, "-rc1")
        await sees(app, "1.5.0-rc1", "   1.5.0  installed on 4")
        await pilot.click("#versions", offset=(2, 3))
        await sees(app, "▸  1.4.2  healthy in rollout 9")
        await pilot.press("tab", "down")  # other fields have other uses for the arrow keys
        await pilot.press("enter")
    assert app.answers == [UpgradeAnswer("1.4.2", "1", "none")]


async def test_hostile_versions_and_remarks_are_text() -> None:
    upgrade = dialog()
    upgrade.show_versions(VersionChoices((VersionChoice(HOSTILE, failed=HOSTILE),), HOSTILE))
    async with open_dialog(upgrade) as (app, _):
        assert "\x1b" not in await sees(app, "we[b1]\\x1b[31m[/b]")
