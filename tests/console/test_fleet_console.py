"""The console on several applications with real servers: opening, coming back, and rollouts that go on."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from textual import events
from textual.pilot import Pilot

from console.config.config_file import load
from console.fleet import running_fleet
from console.tui.fleet_console import FleetConsole
from console.tui.screens.fleet import FleetScreen
from console.tui.screens.main import MainScreen
from console.tui.workspaces import running_workspaces
from orchestrator.events.events import Record
from tests.console.loop_launcher import LoopLauncher
from tests.console.real_console import read
from tests.support.fleet_world import FleetWorld
from widgets.fleet.strip import RolloutStrip
from widgets.fleet.table import FleetTable

INTERVAL_S = 0.5  # between two polls of a load balancer
SEEN_WITHIN_S = 120.0  # the machine may be busy


class Fleet:
    """A console over a fleet, worked by keys and read as text."""

    def __init__(self, app: FleetConsole, pilot: Pilot[str], launcher: LoopLauncher) -> None:
        self.app = app
        self.pilot = pilot
        self.launcher = launcher

    @property
    def text(self) -> str:
        return read(self.app.screen)

    @property
    def strip(self) -> str:
        found = self.app.screen.query(RolloutStrip)
        return found.first().text if found else ""

    @property
    def asked(self) -> list[str]:
        """What the rollout that was started last asks about."""
        session = self.launcher.session
        return [question.subject for question in session.control.questions] if session is not None else []

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(SEEN_WITHIN_S):
            while not condition():
                await self.pilot.pause(0.02)

    async def sees(self, *words: str) -> None:
        try:
            await self.until(lambda: all(word in self.text for word in words))
        except TimeoutError:
            raise AssertionError(f"never saw {words} in:\n{self.text}") from None

    def find(self, name: str) -> None:
        """Type all keys at once: the letters must not be keys of the screen below the list."""
        for key in ("g", *name, "enter"):
            self.app.post_message(events.Key(key, key if len(key) == 1 else None))

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)


@asynccontextmanager
async def fleet_console(folder: Path) -> AsyncIterator[Fleet]:
    """Two applications with real nodes and three without, in one console."""
    world = FleetWorld(folder / "s", applications=5, real=("shop", "cart"), nodes=2, servers=2)
    async with world:
        config = load(world.config_path)
        quick = msgspec.structs.replace(config.console, interval=INTERVAL_S)
        config = msgspec.structs.replace(config, console=quick)
        launcher = LoopLauncher(config, list[Record]())
        try:
            async with (
                running_fleet(config) as fleet,
                running_workspaces(fleet, launcher) as workspaces,
            ):
                app = FleetConsole(workspaces, config.console, config.file)
                async with app.run_test(size=(80, 24), notifications=True) as pilot:
                    yield Fleet(app, pilot, launcher)
        finally:
            await launcher.end()


async def test_a_rollout_goes_on_while_another_application_is_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with fleet_console(tmp_path) as at:
        await at.sees("▲ 2/2", "5 apps")
        at.app.screen.query_one(FleetTable).move_to("shop")
        await at.press("u")
        await at.sees("Upgrade shop")
        await at.press(*"1", "full_stop", "5", "full_stop", "0", "tab", "tab", "tab", "down", "enter")
        await at.sees("shop → 1.5.0", "Start")  # it asks before each node
        await at.press("right", "enter")
        await at.sees("0/2 ", "space")
        await at.press("escape")  # the rollout asks, and goes on
        await at.sees("waits for you: shop-1", "1 waits for you")
        assert isinstance(at.app.screen, FleetScreen)
        at.app.screen.query_one(FleetTable).move_to("cart")
        await at.press("enter")
        await at.sees("cart-2")
        await at.until(lambda: "? shop → 1.5.0 0/2 · waits for you: shop-1" in at.strip)
        assert "f2" in at.strip
        await at.press("t")  # a screen over that of an application has it, too
        await at.until(lambda: "waits for you: shop-1" in at.strip)
        await at.press("escape", "f2")
        await at.sees("shop-2", "0/2", "space")
        assert at.strip == ""  # its own board shows it
        await at.press("space")
        await at.until(lambda: at.asked == ["shop-2"])
        await at.press("escape")
        await at.sees("waits for you: shop-2", "1.5.0 ×1")
        assert at.app.screen.query_one(FleetTable).cursor_key == "shop"  # though it was opened by F2
        await at.press("x", "down", "x", "p")  # of both only one has a rollout
        await at.sees("Pause the rollout of shop?", "(no rollout runs)")
        await at.press("right", "enter")
        await at.sees("→ 1.5.0 1/2 · waits for you: shop-2 (p")  # paused
        at.app.screen.query_one(FleetTable).move_to("shop")
        await at.press("p")
        await at.sees("Continue the rollout of shop?")
        await at.press("right", "enter")
        await at.until(lambda: at.launcher.session is not None and not at.launcher.session.control.paused)
        await at.press("q")
        await at.sees("A rollout is running: quit?", "What goes on without this console: shop.")
        with monkeypatch.context() as patch:
            patch.setattr(at.app._overview, "running_rows", tuple)
            await at.sees("5 apps", "all rollouts have ended meanwhile")
        await at.press("f2")
        await at.sees("shop-2", "1/2", "space")
        await at.press("space")
        await at.sees("everything is in rotation")
        await at.press("escape")  # the result, then the board, then the application
        await at.sees("servers up 2")
        await at.press("escape", "escape")
        await at.sees("5 apps", "1.5.0 ×2")
        at.find("cart")
        await at.sees("cart-1", "cart-2")
        cart = at.app.screen
        assert isinstance(cart, MainScreen)
        at.find("shop")
        await at.sees("shop-1", "servers up 2")
        at.find("cart")
        await at.until(lambda: at.app.screen is cart)
        await at.press("slash", *"cart-2", "enter", "escape")
        await at.sees("cart-1")  # Esc has cleared the filter only
        await at.press("escape")
        await at.sees("5 apps")
        await at.press("f2")
        await at.sees("no other rollout is running")
        await at.press("q")
        await at.until(lambda: not at.app.is_running)
