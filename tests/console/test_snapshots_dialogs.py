"""Snapshots of the dialogs and reports."""

import asyncio
from dataclasses import replace
from typing import Any

from textual.pilot import Pilot
from textual.screen import Screen

from console.tui.screens.command_output import CommandOutput
from console.tui.screens.preflight_progress import PreflightDialog
from orchestrator.planning.application import Policy
from orchestrator.session.version_choices import VersionChoice, VersionChoices
from tests.console.conftest import Act, SnapshotCheck, sees, sizes, small, types
from tests.console.dialog_values import ended, out_of_rotation
from tests.console.frozen_console import BUSY, CALM, TROUBLED, Frame, FrozenConsole, session_of
from widgets.dialogs.plan import PlanScreen
from widgets.dialogs.result import ResultScreen
from widgets.dialogs.upgrade import UpgradeDialog

QUIET = replace(TROUBLED, silent="")


def shows(screen: Screen[Any]) -> Act:
    """Put a screen over the main view."""

    async def push(pilot: Pilot[str]) -> None:
        await pilot.app.push_screen(screen)

    return push


VERSIONS = VersionChoices(
    (
        VersionChoice("1.6.0", is_available=True),
        VersionChoice("1.5.1", is_available=True, failed="failed on web2, web3 in rollout 12"),
        VersionChoice("1.5.0", is_available=True, ended="healthy in rollout 11, 2026-11-20"),
        VersionChoice("1.4.2", is_available=True, nodes=4, ended="healthy in rollout 9, 2026-11-02"),
        VersionChoice("1.4.1", is_available=False, ended="healthy in rollout 7, 2026-10-12"),
    )
)


def test_upgrade(matches_snapshot: SnapshotCheck) -> None:
    dialog = UpgradeDialog("shop", "1.4.2 on 4, 1.4.1 on 1", Policy())
    dialog.show_versions(VERSIONS)
    acts = (shows(dialog), sees("5 versions"), "down", "down", sees("▸✗ 1.5.1"))
    assert matches_snapshot(lambda: FrozenConsole(QUIET), *acts)


@small
def test_upgrade_with_an_error(matches_snapshot: SnapshotCheck) -> None:
    dialog = UpgradeDialog("shop", "1.4.2 on 4, 1.4.1 on 1", Policy())
    acts = (shows(dialog), sees("Upgrade shop"), types("1.5 0"), "enter", sees("✗ not a version"))
    assert matches_snapshot(lambda: FrozenConsole(QUIET), *acts)


def test_plan(matches_snapshot: SnapshotCheck) -> None:
    scene = replace(CALM, machines=(*BUSY[:5], replace(TROUBLED.machines[4], name="web6", elsewhere={})))
    acts = ("u", sees("Upgrade shop"), types("1.5.0"), "enter", sees("Preflight found", "Start"))
    assert matches_snapshot(lambda: FrozenConsole(scene), *acts)


def test_plan_with_commands(matches_snapshot: SnapshotCheck) -> None:
    plan = asyncio.run(session_of(CALM).plan("1.5.0", limit=["web1", "web2"]))
    assert matches_snapshot(
        lambda: FrozenConsole(CALM), shows(PlanScreen(plan)), "c", "end", sees("state ready")
    )


def test_plan_with_errors(matches_snapshot: SnapshotCheck) -> None:
    scene = replace(TROUBLED, policy=Policy(serial=2, min_available=5))
    plan = asyncio.run(session_of(scene).plan("1.5.0"))
    assert matches_snapshot(lambda: FrozenConsole(scene), shows(PlanScreen(plan)), sees("cannot start"))


def test_drain(matches_snapshot: SnapshotCheck) -> None:
    assert matches_snapshot(lambda: FrozenConsole(CALM), "down", "d", sees("Drain web2?"))


def test_drain_refused(matches_snapshot: SnapshotCheck) -> None:
    scene = Frame(BUSY[:2], policy=Policy(min_available=2))
    assert matches_snapshot(lambda: FrozenConsole(scene), "d", sees("Refused"))


@small
def test_weight(matches_snapshot: SnapshotCheck) -> None:
    acts = ("w", sees("Weight of web1"), types("300"), sees("expected a whole number"))
    assert matches_snapshot(lambda: FrozenConsole(CALM), *acts)


def test_result_healthy(matches_snapshot: SnapshotCheck) -> None:
    how = ended(upgraded=[machine.name for machine in BUSY], pending=[], duration_s=511.2)
    assert matches_snapshot(lambda: FrozenConsole(CALM), shows(ResultScreen(how)), sees("✓ healthy"))


def test_result_degraded(matches_snapshot: SnapshotCheck) -> None:
    how = ended(out_of_rotation(), reason="degraded web3 failed at verify", pending=["web4", "web5", "web6"])
    assert matches_snapshot(lambda: FrozenConsole(CALM), shows(ResultScreen(how)), sees("✗ degraded"))


@sizes
def test_a_required_reason(matches_snapshot: SnapshotCheck) -> None:
    scene = replace(CALM, policy=Policy(require_reason=True))
    plan = asyncio.run(session_of(scene).plan("1.4.1", limit=["web1", "web2"]))
    acts = (shows(PlanScreen(plan, reason="")), sees("why? required"), "right", "enter", sees("type why"))
    assert matches_snapshot(lambda: FrozenConsole(scene), *acts)


@sizes
def test_preflight(matches_snapshot: SnapshotCheck) -> None:
    session = session_of(CALM)
    session.observed_nodes = (120, 400)
    acts = (shows(PreflightDialog(session)), sees("checked 120 of 400 nodes"))
    assert matches_snapshot(lambda: FrozenConsole(CALM, session), *acts)


def test_the_output_of_a_command(matches_snapshot: SnapshotCheck) -> None:
    async def run(pane: CommandOutput) -> None:
        pane.begin("web3", "df -h /opt /var | sort -k5")
        pane.add(
            ["Filesystem      Size  Used Avail Use% Mounted on", "/dev/sda1        40G   12G   26G  32% /opt"]
        )
        pane.end("done in 0.2 s")
        pane.begin("web4", "df -h /opt /var | sort -k5")
        pane.add([f"df: /opt: {'Input/output error, ' * 8}".rstrip(", ")])
        pane.end("exit status 1")

    acts = (shows(CommandOutput("disk space", run)), sees("exit status 1", "has ended"))
    assert matches_snapshot(lambda: FrozenConsole(CALM), *acts)
