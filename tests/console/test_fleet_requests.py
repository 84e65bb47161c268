"""Requests of the fleet: what `p` and `a` mean for several applications, and what is left alone and why."""

from dataclasses import replace
from typing import cast

import pytest
from textual.events import Key
from textual.pilot import Pilot

from backends.errors import Unreachable
from orchestrator.fleet.row import ApplicationRow
from orchestrator.session.active_rollout import ActiveRollout
from tests.console.fleet_app import BILLING, CART, ROWS, SEARCH, SHOP, FleetApp, FrozenOverview, rollout
from tests.console.real_console import read
from tests.support.wait import until
from widgets.fleet.table import FleetTable

PAUSED = replace(SHOP, name="media", rollout=rollout(phase="paused", action="paused by ann"))
ABORTING = replace(SHOP, name="mail", rollout=rollout(phase="aborting", action="is being aborted"))


class Rollout:
    """Notes what is requested of it."""

    def __init__(self, name: str, requests: list[tuple[str, str]], *, is_local: bool = True) -> None:
        self.is_local = is_local
        self.who = "anna@admin1"
        self._name = name
        self._requests = requests

    async def request(self, what: str, subject: str = "") -> None:
        self._requests.append((self._name, what))
        if self._name == "mail":
            raise Unreachable("the rollout", "does not answer")


class Overview(FrozenOverview):
    """Rows that stand still, with rollouts that note what is requested of them."""

    def __init__(self, *rows: ApplicationRow, unreachable: str = "", remote: str = "") -> None:
        super().__init__(rows)
        self.requests: list[tuple[str, str]] = []
        self._unreachable, self._remote = unreachable, remote

    def running_rollout(self, application: str) -> ActiveRollout | None:
        if application == self._unreachable or application not in {row.name for row in self.running_rows()}:
            return None
        made = Rollout(application, self.requests, is_local=application != self._remote)
        return cast("ActiveRollout", made)


def words(app: FleetApp) -> str:
    """What the screen in front says, without the breaks of its lines."""
    return " ".join(read(app.screen).replace("│", " ").split())


def said_by(app: FleetApp) -> str:
    """What the notifications say that have not gone yet."""
    return "\n".join(notification.message for notification in app._notifications)


async def mark_all(pilot: Pilot[str]) -> FleetTable:
    await pilot.pause()
    table = pilot.app.screen.query_one(FleetTable)
    table.mark(frozenset(table.key_at(index) for index in range(table.count_rows())))
    return table


@pytest.mark.parametrize(
    ("key", "rows", "said", "requests"),
    [
        (
            "p",
            (SHOP, CART, PAUSED, ABORTING, SEARCH, BILLING),
            (
                *("Pause 2 rollouts?", "cart → 2.2.0 1/4 · waits for you: web2, started by anna@admin1"),
                *("shop → 1.5.0 5/12 · verifies node6", "No new node is started, deadlines are stopped"),
                *("Left alone: search, billing (no rollout runs).", "Left alone: mail (being aborted)."),
                "Left alone: media (paused already).",
            ),
            [("cart", "pause"), ("shop", "pause")],
        ),
        (
            "p",
            (PAUSED, BILLING),
            ("Continue the rollout of media?", "The next nodes are started, and deadlines go on."),
            [("media", "resume")],
        ),
        (
            "a",
            (SHOP, PAUSED, ABORTING),
            (
                *("Abort 2 rollouts?", "Each ends after the running step; a second abort cuts it short."),
                "Left alone: mail (being aborted already).",
            ),
            [("media", "abort"), ("shop", "abort")],
        ),
        (
            "a",
            (ABORTING, BILLING),
            ("Abort the rollout of mail?", "It ends at once: a running command continues on its own."),
            [("mail", "abort")],
        ),
    ],
)
async def test_a_request_is_for_all_marked_applications_that_it_fits(
    key: str, rows: tuple[ApplicationRow, ...], said: tuple[str, ...], requests: list[tuple[str, str]]
) -> None:
    app = FleetApp(Overview(*rows))
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        table = await mark_all(pilot)
        await pilot.press(key)
        await until(lambda: said[0] in words(app))
        assert [text for text in said if text not in words(app)] == []
        await pilot.press("enter")  # the safe answer has the focus
        await pilot.pause()
        assert isinstance(app.overview, Overview)
        assert app.overview.requests == []
        assert len(table.marked) == len(rows)
        await pilot.press(key)
        await pilot.pause()
        await pilot.press("right", "enter")
        await until(lambda: not table.marked)
        assert sorted(app.overview.requests) == requests
        if ("mail", "abort") in requests:
            await until(lambda: "mail: the rollout: does not answer" in said_by(app))


async def test_without_marks_it_is_the_rollout_under_the_cursor() -> None:
    app = FleetApp(Overview(SHOP, CART, BILLING, unreachable="shop", remote="cart"))
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await pilot.pause()
        await pilot.press("p")
        await until(lambda: "Pause the rollout of cart?" in words(app))
        await pilot.press("right", "enter")
        await until(lambda: "cart: asked anna@admin1 to pause" in said_by(app))
        app.clear_notifications()
        await pilot.press("down", "a")
        await until(lambda: "shop: controlled on admin1 only" in said_by(app))
        await pilot.press("down", "p")
        await until(lambda: "billing: no rollout runs" in said_by(app))
        assert isinstance(app.overview, Overview)
        assert app.overview.requests == [("cart", "pause")]


async def test_what_changes_while_it_is_asked_is_left_alone() -> None:
    app = FleetApp(Overview(SHOP, CART))
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await mark_all(pilot)
        for _ in range(3):  # as a key that repeats
            app.post_message(Key("a", "a"))
        await until(lambda: "Abort 2 rollouts?" in words(app))
        await pilot.pause()
        assert len(app.screen_stack) == 3
        app.overview.shown = (replace(SHOP, rollout=rollout(since=1.0)), CART)  # a later one
        await pilot.press("right", "enter")
        await until(lambda: "shop: left alone, the rollout has changed meanwhile" in said_by(app))
        assert isinstance(app.overview, Overview)
        assert app.overview.requests == [("cart", "abort")]
        await pilot.press("a")
        await until(lambda: "Abort the rollout of cart?" in words(app))
        app.overview.shown = (BILLING,)
        await until(lambda: "the rollout of cart has ended or changed meanwhile" in said_by(app))


async def test_what_is_for_one_application_says_so_and_escape_clears_marks() -> None:
    app = FleetApp(Overview(*ROWS))
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await pilot.pause()
        table = app.screen.query_one(FleetTable)
        await pilot.press("down", "x", "down", "u")
        assert app.picked == [("mail", "upgrade")]  # the only marked one
        await pilot.press("x")
        for key in ("u", "ctrl+r", "R"):
            await pilot.press(key)
            await until(lambda: "2 applications are marked, this is for one at a time" in said_by(app))
            app.clear_notifications()
        await pilot.press("slash", *"zzz", "enter", "escape")
        assert len(table.marked) == 2  # Esc has cleared the filter only
        await pilot.press("escape")
        assert (table.marked, app.picked) == (frozenset(), [("mail", "upgrade")])


async def test_a_console_that_only_looks_requests_nothing() -> None:
    app = FleetApp(Overview(SHOP), read_only="--read-only was given")
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await pilot.pause()
        await pilot.press("a")
        await until(lambda: "read-only: --read-only was given" in said_by(app))
