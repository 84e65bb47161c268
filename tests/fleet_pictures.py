"""The README's picture of many applications: `python -m tests.fleet_pictures` takes it."""

import asyncio
import os
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path

from textual.pilot import Pilot

from console.config.config_file import load
from console.fleet import running_fleet
from console.terminal.output import say
from console.tui.fleet_console import FleetConsole
from console.tui.screens.fleet import FleetScreen
from console.tui.workspaces import running_workspaces
from tests.console.loop_launcher import LoopLauncher
from tests.console.real_console import read
from tests.pictures import HERE, MACHINE, OPERATOR, PRIVATE
from tests.support.fleet_world import FleetWorld
from tests.support.svg import lean
from widgets.fleet.table import FleetTable

SIZE = (100, 24)
APPLICATIONS = 40
SERVERS = 12  # of those that are not upgraded; their versions are read one after the other
QUICK_S = 6.0  # for which a node must be healthy, and is watched: the rollouts are to be seen under way
SEEN_WITHIN_S = 300.0
ROWS_OF_STAND_INS = 18  # that are on the screen, besides applications that are upgraded


class _Camera:
    """Works the console by keys, and takes a picture."""

    def __init__(self, app: FleetConsole, pilot: Pilot[str]) -> None:
        self._app = app
        self._pilot = pilot

    @property
    def text(self) -> str:
        return read(self._app.screen)

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(SEEN_WITHIN_S):
            while not condition():
                await self._pilot.pause(0.05)

    async def sees(self, *words: str) -> None:
        try:
            await self.until(lambda: all(word in self.text for word in words))
        except TimeoutError:
            raise AssertionError(f"never saw {words} in:\n{self.text}") from None

    async def upgrade(self, name: str, *, asks: bool = False) -> None:
        """Start an upgrade, and come back to the fleet."""
        await self.until(lambda: isinstance(self._app.screen, FleetScreen))
        self._app.screen.query_one(FleetTable).move_to(name)
        await self._pilot.press("u")
        await self.sees(f"Upgrade {name}")
        await self._pilot.press(*("1", "full_stop", "5", "full_stop", "0"), *("tab",) * 3)
        if asks:
            await self._pilot.press("down")
        await self._pilot.press("enter")
        await self.sees(f"{name} → 1.5.0", "Start")
        await self._pilot.press("right", "enter")
        await self.sees("0/4 ")
        await self._pilot.press("escape")

    async def take(self, private: tuple[str, ...], name: str) -> None:
        svg = lean(self._app.export_screenshot(simplify=True))
        for word in private:
            if word in svg:
                raise ValueError(f"{name}.svg would show {word!r} of the machine on which it was taken")
        (HERE / f"{name}.svg").write_text(svg, encoding="utf-8")
        say(f"docs/pictures/{name}.svg")


async def take_fleet(folder: Path) -> None:
    """Three rollouts side by side in a fleet of forty applications, one of which waits for an answer."""
    os.environ["SUDO_USER"] = OPERATOR
    socket.gethostname = lambda: MACHINE
    world = FleetWorld(folder / "s", applications=APPLICATIONS, servers=SERVERS, quick_s=QUICK_S)
    async with world:
        config = load(world.config_path)
        rates = {name: 2.0 + number % 9 for number, name in enumerate(world.applications)}
        traffic = asyncio.create_task(world.load(rates))
        launcher = LoopLauncher(config, [])  # a process of its own would know the real name of this machine
        async with (
            running_fleet(config) as fleet,
            running_workspaces(fleet, launcher) as workspaces,
        ):
            app = FleetConsole(workspaces, config.console, config.file)
            async with app.run_test(size=SIZE, notifications=True) as pilot:
                camera = _Camera(app, pilot)
                await camera.sees("40 apps", "▲ 4/4")
                await camera.until(lambda: camera.text.count(f" ×{SERVERS} ") >= ROWS_OF_STAND_INS)
                for name in ("search", "cart", "shop"):
                    await camera.upgrade(name, asks=name == "search")
                await pilot.press("home")
                await camera.sees("2 rolling", "1 waits for you", "1/4")
                await camera.take((str(folder), *PRIVATE), "fleet")
        traffic.cancel()
        await launcher.end()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="rolldeck-") as temporary:
        asyncio.run(take_fleet(Path(temporary)))
