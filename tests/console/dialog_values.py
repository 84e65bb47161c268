"""Values that the tests of the dialogs display."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Generic, TypeVar

from textual.app import App
from textual.geometry import Region
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widget import Widget

from backends.model import ServerRef
from orchestrator.engine.manual_change import Impact
from orchestrator.events.events import RolloutEnded
from orchestrator.events.steps import STEPS
from orchestrator.events.ways_back import BackCommand, OutOfRotation
from orchestrator.planning.application import Policy
from orchestrator.planning.capacity import Capacity
from orchestrator.planning.findings import Finding
from orchestrator.planning.plan import Plan, PlannedCommand, PlannedNode
from tests.support.console_values import server

Answer = TypeVar("Answer")

HOSTILE = "we[b1]\x1b[31m[/b][@click=app.quit]\u202e界" + "[/]" * 3
ALLOWED = Capacity("lb1", "shop", 4, 3, 2)
BROKEN = Capacity("lb2", "shop", 2, 1, 2)


def impact(*capacities: Capacity, nodes: tuple[str, ...] = ("web4",)) -> Impact:
    servers = tuple(server(name, lb, sessions=13) for name in nodes for lb in ("lb1", "lb2"))
    return Impact(nodes, servers, capacities)


def plan(*findings: Finding, name: str = "web", count: int = 4) -> Plan:
    nodes = tuple(_planned(f"{name}{number}") for number in range(1, count + 1))
    names = [node.name for node in nodes]
    cut = tuple(tuple(names[start : start + 2]) for start in range(0, count, 2))
    capacities = tuple(tuple(Capacity(lb, "shop", count, count - 2, 2) for lb in ("lb1", "lb2")) for _ in cut)
    prefetch = tuple(PlannedCommand("install", name, f"curl -fsSO https://x/{name}") for name in names)
    return Plan("shop", "1.5.0", Policy(serial=2), nodes, cut, capacities, prefetch, findings)


def _planned(name: str) -> PlannedNode:
    commands = (
        PlannedCommand("drain", "lb1", f"set server shop/{name} state drain"),
        PlannedCommand("stop", name, "sudo monit stop shop"),
        PlannedCommand("install", name, "sudo apt-get install -y shop=1.5.0 " + "--option " * 12),
        PlannedCommand("verify", "lb1", f"set server shop/{name} state ready"),
    )
    refs = (ServerRef("lb1", "shop", name), ServerRef("lb2", "shop", name))
    return PlannedNode(name, refs, {}, "1.4.2", "1.4.2", tuple(STEPS), "1.4.2 → 1.5.0", commands=commands)


def ended(*out: OutOfRotation, **changes: Any) -> RolloutEnded:
    fields: dict[str, Any] = {
        "result": "degraded" if out else "healthy",
        "reason": "web3 failed at start" if out else "",
        "upgraded": ["web1", "web2"],
        "failed": [node.node for node in out],
        "skipped": [],
        "interrupted": [],
        "pending": ["web4"],
        "out_of_rotation": list(out),
        "unreachable_balancers": [],
        "duration_s": 125.4,
    }
    return RolloutEnded(**(fields | changes))


def out_of_rotation(node: str = "web3") -> OutOfRotation:
    return OutOfRotation(
        node=node,
        servers=[f"shop/{node} on lb1: maint", f"shop/{node} on lb2: maint"],
        intentional=False,
        commands=[
            BackCommand("ready", f"rolldeck ready shop {node}"),
            BackCommand("prove", f"lb1: set server shop/{node} health down"),
            BackCommand("by_hand", f"lb1: set server shop/{node} state ready"),
        ],
        rollback_command=f"rolldeck upgrade shop 1.4.2 --limit {node}",
    )


class DialogApp(App[None], Generic[Answer]):
    """Shows one screen and keeps what it answered."""

    def __init__(self, screen: Screen[Answer]) -> None:
        super().__init__()
        self.asked = screen
        self.answers: list[Answer | None] = []

    def on_mount(self) -> None:
        self.push_screen(self.asked, self.answers.append)

    def focused_text(self) -> str:
        """The first line of what has the focus."""
        assert self.focused is not None
        return lines_of(self.focused)[0]


@asynccontextmanager
async def open_dialog(
    screen: Screen[Answer], size: tuple[int, int] = (80, 24)
) -> AsyncIterator[tuple[DialogApp[Answer], Pilot[None]]]:
    """The screen as an operator has it: keys go to what has the focus."""
    app = DialogApp(screen)
    async with app.run_test(size=size, notifications=True) as pilot:
        await pilot.pause()
        yield app, pilot


async def type_in(pilot: Pilot[None], typed: str) -> None:
    """One key for each character."""
    names = {" ": "space", "%": "percent_sign", ",": "comma", ".": "full_stop", "-": "minus", "/": "slash"}
    await pilot.press(*(names.get(character, character) for character in typed))
    await pilot.pause()


def lines_of(widget: Widget) -> list[str]:
    """What one widget shows, without styles."""
    strips = [widget.render_line(y) for y in range(widget.size.height)]
    return [strip.text for strip in strips]


def shown(app: App[None]) -> list[str]:
    """What stands on the terminal, without styles."""
    strips = app.screen._compositor.render_strips()
    return [strip.text.rstrip() for strip in strips]


def cut_off(app: App[None], size: tuple[int, int] = (80, 24)) -> list[Widget]:
    """What can have the focus and is not all within the terminal."""
    whole = Region(0, 0, *size)
    return [
        widget
        for widget in app.screen.focus_chain
        if not whole.contains_region(widget.region) or not widget.region.area
    ]
