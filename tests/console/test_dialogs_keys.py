"""The keys of the options in dialogs: arrows pick, Enter goes on, Space picks nothing else."""

from orchestrator.planning.application import Policy
from tests.console.dialog_values import open_dialog, shown, type_in
from widgets.dialogs.upgrade import UpgradeAnswer, UpgradeDialog


async def test_enter_in_the_options_of_an_upgrade_goes_on() -> None:
    async with open_dialog(UpgradeDialog("shop", "", Policy())) as (app, pilot):
        await type_in(pilot, "1.5.0")
        await pilot.press("tab", "tab", "tab", "down", "enter")
    assert app.answers == [UpgradeAnswer("1.5.0", "1", "node")]


async def test_space_leaves_the_options_of_an_upgrade_as_they_are() -> None:
    async with open_dialog(UpgradeDialog("shop", "", Policy())) as (app, pilot):
        await pilot.press("tab", "tab", "tab", "down", "space", "space")
        assert "▸◉ each node" in "\n".join(shown(app))
        await pilot.press("enter")
        assert "✗ type the version to upgrade to" in "\n".join(shown(app))
    assert app.answers == []
