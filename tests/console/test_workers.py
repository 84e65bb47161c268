"""What a screen does beside its keys is not even created if the console ends before it has begun."""

import gc
from typing import Any

import pytest
from textual.worker import Worker

from console.tui.screens.main import MainScreen
from tests.console.frozen_console import CALM, FrozenConsole
from widgets.dialogs.upgrade import UpgradeDialog


async def test_versions_whose_search_is_cancelled_at_once_leave_nothing_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app, cancelled = FrozenConsole(CALM), list[str]()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        run = MainScreen.run_worker

        def cancel_at_once(screen: MainScreen, *arguments: Any, **options: Any) -> Worker[Any]:
            worker: Worker[Any] = run(screen, *arguments, **options)
            if worker.group == "versions":
                worker.cancel()
                cancelled.append(worker.group)
            return worker

        monkeypatch.setattr(MainScreen, "run_worker", cancel_at_once)
        await pilot.press("u")
        await pilot.pause()
        assert isinstance(app.screen, UpgradeDialog)
    assert cancelled == ["versions"]
    gc.collect()  # a coroutine that was never awaited fails the test here
