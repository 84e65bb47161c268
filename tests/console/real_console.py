"""The console on real servers, operated by keys alone, for the tests of the main view."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from textual.pilot import Pilot
from textual.screen import Screen

from console.config.config_file import load
from console.demo.stack import Stack
from console.tui.app import Console
from console.tui.run_console import open_workspace
from console.tui.screens.main import MainScreen
from console.tui.workspace import Workspace
from orchestrator.engine.control import Question, RolloutControl
from orchestrator.events.events import CommandFinished, Record, RolloutEnded
from orchestrator.events.state import RolloutState
from orchestrator.live.poller import LiveView
from orchestrator.session.session import Session
from tests.console.loop_launcher import LoopLauncher
from tests.support.processes import freeze
from tests.support.rollouts import states, tune, world

SIZE = (80, 24)
POLL = 0.2  # seconds between two looks at a load balancer; the console's own default is a second


@dataclass(slots=True)
class ConsoleStack:
    """A world with the console's session on it, and what was done so far; it outlives the console.

    Attributes:
        records: of the console's own session, and of the rollouts that it has started.
        launcher: starts rollouts in this process: a process of its own takes a second to start.
    """

    stack: Stack
    workspace: Workspace
    records: list[Record]
    launcher: LoopLauncher

    @property
    def session(self) -> Session:
        """The console's."""
        return self.workspace.session

    @property
    def watch(self) -> LiveView:
        return self.workspace.poller

    @property
    def state(self) -> RolloutState:
        """Of the rollout that was started last."""
        return self.launcher.session.state if self.launcher.session is not None else RolloutState()

    @property
    def control(self) -> RolloutControl:
        """Of the rollout that was started last."""
        assert self.launcher.session is not None
        return self.launcher.session.control

    @property
    def questions(self) -> tuple[Question, ...]:
        return self.control.questions if self.launcher.session is not None else ()

    @property
    def is_rolling(self) -> bool:
        return self.launcher.is_rolling

    @property
    def changes(self) -> list[tuple[str, str]]:
        """Load balancer and each command that was to change something there, oldest first."""
        sent = [record.event for record in self.records if isinstance(record.event, CommandFinished)]
        commands = [(event.target, event.command.rpartition("; ")[2]) for event in sent]
        return [(target, words) for target, words in commands if words.startswith(("set ", "disable "))]

    @property
    def ended(self) -> RolloutEnded | None:
        """How the last rollout ended; None while there is none that has."""
        return self.state.ended


@asynccontextmanager
async def console_stack(
    directory: Path,
    *,
    nodes: int = 2,
    versions: tuple[str, ...] = (),
    further_backends: tuple[str, ...] = (),
    frozen: str = "",
    log: str = "",
    freeze_reason: str = "",
    **policy: object,
) -> AsyncIterator[ConsoleStack]:
    """A quick world, a session and a watch on it, as `console.tui.run_console` wires them.

    Args:
        directory: for the world; empty or missing.
        nodes: how many.
        versions: releases that answer their health check with 503 for ever.
        further_backends: more backends with the same servers.
        frozen: a load balancer that says nothing from the beginning.
        log: path of the log of each service.
        freeze_reason: of a freeze window that is active; empty for none.
        policy: fields of the roll-out policy.
    """
    async with world(directory / "s", nodes=nodes, further_backends=further_backends) as stack:
        tune(stack, "apps.shop.rollout", **{"bake_time": 0, **policy})
        if log:
            tune(stack, "apps.shop.service", log=log, log_command="")
        if freeze_reason:
            with stack.config_path.open("a") as file:
                file.write(
                    f"\n[[apps.shop.freeze]]\nreason = {json.dumps(freeze_reason)}\n"
                    "from = 2020-01-01T00:00:00Z\nto = 2099-01-01T00:00:00Z\n"
                )
        for version in versions:
            stack.add_release(version, healthy=False)
        if frozen:
            freeze(stack.instances[frozen].pid)
        async with opened(stack) as here:
            yield here


@asynccontextmanager
async def opened(stack: Stack) -> AsyncIterator[ConsoleStack]:
    """All that a console needs on this stack; it has read which versions run."""
    config, records = load(stack.config_path), list[Record]()
    config = msgspec.structs.replace(config, console=msgspec.structs.replace(config.console, interval=POLL))
    launcher = LoopLauncher(config, records)
    try:
        async with open_workspace(config, "shop", launcher) as workspace:
            workspace.session.bus.subscribe(records.append)
            await workspace.session.versions.read(workspace.session.application.nodes)
            yield ConsoleStack(stack, workspace, records, launcher)
    finally:
        await launcher.end()  # a test that failed in the middle must not leave a rollout behind


@dataclass(slots=True)
class Driver:
    """A console over a stack, worked by keys and read as text."""

    app: Console
    pilot: Pilot[str]
    console_stack: ConsoleStack

    @property
    def main(self) -> MainScreen:
        """The main view, also when something lies over it."""
        return next(screen for screen in self.app.screen_stack if isinstance(screen, MainScreen))

    @property
    def text(self) -> str:
        """What can be read on the screen in front."""
        return read(self.app.screen)

    @property
    def behind(self) -> str:
        """What can be read on the main view."""
        return read(self.main)

    @property
    def said(self) -> str:
        """What the notifications say that have not gone yet."""
        return "\n".join(notification.message for notification in self.app._notifications)

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)

    async def type(self, text: str) -> None:
        await self.pilot.press(*(_KEYS.get(character, character) for character in text))

    async def until(self, is_true: Callable[[], object], seconds: float = 90) -> None:
        """Look again and again; fails with the screen when it is still not true after so many seconds."""
        deadline = time.monotonic() + seconds
        while not is_true():
            assert time.monotonic() < deadline, f"never came; said: {self.said}\n{self.text}\n{self.behind}"
            await self.pilot.pause(0.05)

    async def sees(self, *words: str) -> None:
        """Wait until the screen in front says all of this."""
        await self.until(lambda: all(text in self.text for text in words))

    async def asked(self, node: str, text: str) -> None:
        """Wait until the console has seen that the rollout asks this about a node."""

        def found() -> bool:
            active = self.console_stack.workspace.active
            questions = active.state.questions.values() if active is not None else ()
            return any(question.subject == node and text in question.text for question in questions)

        await self.until(found)

    @property
    def seen_questions(self) -> list[str]:
        """The ids of the open questions that the console has seen."""
        active = self.console_stack.workspace.active
        return list(active.state.questions) if active is not None else []

    async def gone(self) -> None:
        """Wait until the console has been told to end; it no longer answers the pilot then."""
        deadline = time.monotonic() + 60
        while self.app.return_value is None:
            assert time.monotonic() < deadline, self.text
            await asyncio.sleep(0.02)

    async def admins(self, node: str) -> set[int]:
        """What HAProxy itself says was decided about a node, over all load balancers."""
        found = await states(self.console_stack.stack)
        return {servers[node].admin for servers in found.values()}

    def possible(self, action: str, *arguments: object) -> bool | None:
        """True: the key works; None: it is gray; False: it is not shown."""
        return self.main.check_action(action, arguments)

    async def propose(self, version: str, confirm: int = 0) -> None:
        """From the main view to the plan of an upgrade; `confirm` is the index in the dialog's list."""
        await self.press("u")
        await self.sees("Upgrade shop", "Version")
        await self.type(version)
        if confirm:
            await self.press("tab", "tab", "tab", *["down"] * confirm, "tab", "tab")
        await self.press("enter")
        await self.sees(f"shop → {version}", "Start")

    async def start(self, version: str, confirm: int = 0) -> None:
        """From the main view to a running rollout; see `propose`."""
        await self.propose(version, confirm)
        await self.press("right", "enter")
        await self.until(lambda: self.console_stack.state.version == version)

    async def result(self, word: str) -> None:
        """Wait for the result screen, read its headline, and close it."""
        await self.sees(word, "Close")
        await self.press("enter")
        await self.until(lambda: self.app.screen is self.main)


_KEYS = {".": "full_stop", "-": "minus", " ": "space"}


def read(screen: Screen[Any]) -> str:
    """The text of a screen, line by line."""
    return "\n".join(strip.text for strip in screen._compositor.render_strips())


@asynccontextmanager
async def drive(
    console_stack: ConsoleStack, read_only: str = "", *, up: int | None = None
) -> AsyncIterator[Driver]:
    """Open the console there; it is ready when every server has been seen on every load balancer."""
    workspace = console_stack.workspace
    workspace.read_only = read_only
    app = Console(workspace)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        made = Driver(app, pilot, console_stack)
        servers = len(console_stack.stack.nodes) * len(console_stack.stack.backends) if up is None else up
        await made.until(lambda: f"servers up {servers}" in " ".join(made.text.split()))
        yield made
