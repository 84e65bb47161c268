"""The worlds of the monkey: real servers, a console on them, and the rollouts that it starts."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from console.config.config_file import load
from console.demo.haproxy import Checks
from console.demo.stack import Stack
from console.fleet import running_fleet
from console.tui.app import Console
from console.tui.fleet_console import FleetConsole
from console.tui.run_console import open_workspace
from console.tui.view_state import ViewState
from console.tui.workspaces import running_workspaces
from orchestrator.engine.control import CONTINUE, RETRY, SKIP, RolloutControl
from orchestrator.events.actor import Actor
from orchestrator.events.events import Record, RolloutEnded
from tests.console.loop_launcher import LoopLauncher
from tests.monkey.run import MonkeyFound
from tests.support.fleet_world import FleetWorld
from tests.support.rollouts import rolldeck, states, tune, world

BROKEN = "6.6.6"  # a release whose health check fails for ever
GOOD = "1.5.0"
CHECK_INTERVAL_S = 0.5  # of HAProxy: seldom, as everything that runs beside the console
ENDS_WITHIN_S = 300.0
_MONKEY = Actor("the monkey")
_COMMANDS = r"""
[[commands]]
key = "ctrl+t"
title = "many lines"
run = "seq 1 3000; printf '\\033[2J[red]{node}'"
read_only = true
[[commands]]
key = "ctrl+o"
title = "on the node"
run = "echo {version}; exit 3"
where = "node"
"""


class World:
    """Servers of one or several applications, and what the monkey's consoles need there.

    Args:
        stack: the servers.
        nodes: those that can be upgraded, by application.
    """

    def __init__(self, stack: Stack, nodes: Mapping[str, Sequence[str]]) -> None:
        self.stack = stack
        self.results: Counter[str] = Counter()  # of the rollouts that have ended
        with stack.config_path.open("a") as file:
            file.write(_COMMANDS)
        self._config = load(stack.config_path)
        self._nodes = nodes
        self._launcher = LoopLauncher(self._config, _Results(self.results))

    @asynccontextmanager
    async def consoles(self) -> AsyncIterator[Callable[[], Console]]:
        """Open the sessions of an operator; what it yields returns one console after the other."""
        config, state = self._config, ViewState(self.stack.directory / "console.json")

        def prepare(console: Console) -> Console:
            console.add_commands(config.commands, config.file)
            return console

        if len(config.apps) > 1:
            async with (
                running_fleet(config) as fleet,
                running_workspaces(fleet, self._launcher) as workspaces,
            ):
                yield lambda: prepare(FleetConsole(workspaces, config.console, config.file, state))
        else:
            names = tuple(config.apps)
            async with open_workspace(config, names[0], self._launcher) as workspace:
                yield lambda: prepare(Console(workspace, config.console, config.file, names, state))

    def idle(self) -> Collection[str]:
        """Return the applications with real nodes of which no rollout runs."""
        rolling = {session.application.name for session in self._launcher.rolling}
        return [name for name in self._nodes if name not in rolling]

    @property
    def is_rolling(self) -> bool:
        return self._launcher.is_rolling

    def answer(self, choice: int) -> None:
        """Resume what is paused, and answer all open questions with the choice of this number."""
        for session in self._launcher.rolling:
            control = session.control
            if control.paused:
                control.resume(_MONKEY)
            for question in control.questions:
                control.answer(question.id, question.choices[choice % len(question.choices)], _MONKEY)

    async def end_rollouts(self) -> None:
        """Answer and go on until nothing runs. MonkeyFound if that never ends, or has ended by a defect."""
        deadline = asyncio.get_running_loop().time() + ENDS_WITHIN_S
        while self._launcher.is_rolling:
            if asyncio.get_running_loop().time() > deadline:
                raise MonkeyFound(f"does not end: {[session.state for session in self._launcher.rolling]}")
            for session in self._launcher.rolling:
                _go_on(session.control)
            await asyncio.sleep(0.1)
        if self._launcher.defects:
            raise MonkeyFound(f"rollouts have ended by {self._launcher.defects}")

    async def put_back(self) -> None:
        """Put back what the monkey has taken out, so that rollouts are possible again.

        Raises:
            MonkeyFound: it is not possible.
        """
        for application, nodes in self._nodes.items():
            if not await self._find_changed(application):
                continue
            await rolldeck(self.stack, "weight", application, *nodes, "--to", "100", "--yes")
            said = await rolldeck(self.stack, "ready", application, *nodes, "--yes")
            if changed := await self._find_changed(application):  # a broken release, or a stopped service
                limits = [f"--limit={node}" for node in sorted(changed)]  # too few may be left beside them
                await rolldeck(self.stack, "upgrade", application, GOOD, *limits, "--yes")
                said = await rolldeck(self.stack, "ready", application, *changed, "--yes")
            if await self._find_changed(application):
                raise MonkeyFound(f"{application} cannot be put back: {said.text}")

    async def _find_changed(self, application: str) -> set[str]:
        """Return the nodes that are out of rotation somewhere, or have another weight."""
        found = await states(self.stack, application)
        servers = [item for balancer in found.values() for item in balancer.items()]
        return {name for name, server in servers if server.admin or server.weight not in (1, 100)}


def _go_on(control: RolloutControl) -> None:
    if control.paused:
        control.resume(_MONKEY)
    for question in control.questions[:1]:
        choice = next(choice for choice in (CONTINUE, SKIP, RETRY) if choice in question.choices)
        control.answer(question.id, choice, _MONKEY)


class _Results(list[Record]):
    """Counts how rollouts have ended, and keeps nothing else of a long run."""

    def __init__(self, results: Counter[str]) -> None:
        super().__init__()
        self._results = results

    def append(self, record: Record) -> None:
        if isinstance(record.event, RolloutEnded):
            self._results[record.event.result] += 1


@asynccontextmanager
async def demo_world(folder: Path) -> AsyncIterator[World]:
    """The demo: one application on four nodes."""
    async with world(folder / "s", nodes=4, checks=Checks(CHECK_INTERVAL_S)) as stack:
        tune(stack, "apps.shop.rollout", bake_time=0)
        stack.add_release(BROKEN, healthy=False)
        yield World(stack, {"shop": list(stack.nodes)})


@asynccontextmanager
async def fleet_world(folder: Path) -> AsyncIterator[World]:
    """Three applications with real nodes, and nine without."""
    async with FleetWorld(
        folder / "s", applications=12, nodes=2, servers=5, check_interval_s=CHECK_INTERVAL_S
    ) as stack:
        stack.add_release(BROKEN, healthy=False)
        yield World(stack, {name: list(stack.nodes_of(name)) for name in stack.backends})
