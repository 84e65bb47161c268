"""The console runs on the session's event loop, and leaves it as it was."""

from pathlib import Path

from textual.pilot import Pilot

from console.tui.app import Console
from orchestrator.planning.plan import Plan
from tests.console.real_console import console_stack


async def test_nodes_can_be_entered_while_the_console_runs(tmp_path: Path) -> None:
    """Started as in life: unlike `run_test`, `run_async` changes how the tasks of the loop begin."""
    plans = list[Plan]()

    async def look(pilot: Pilot[object]) -> None:
        plans.append(await at.session.plan("1.5.0"))
        pilot.app.exit()

    async with console_stack(tmp_path / "w") as at:
        await Console(at.workspace).run_async(headless=True, auto_pilot=look)
    (plan,) = plans
    assert plan.errors == ()
    assert [node.installed for node in plan.nodes] == ["1.4.2", "1.4.2"], "read over SSH"
