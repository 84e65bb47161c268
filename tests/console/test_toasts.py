"""Notifications cover nothing that has to be read: they are shown over the key bar."""

import time
from collections.abc import Iterable, Iterator

import pytest
import textual.notifications
from textual import events
from textual.geometry import Region
from textual.pilot import Pilot
from textual.screen import Screen
from textual.timer import Timer, TimerCallback
from textual.widget import AwaitMount, Widget
from textual.widgets._toast import Toast, ToastRack

from console.tui.screens.fleet import FleetScreen
from tests.console.dialog_values import plan
from tests.console.fleet_app import FrozenOverview
from tests.console.frozen_console import CALM, FrozenConsole
from tests.console.frozen_rollout import FAILURE, FrozenRollout, halfway
from widgets.dialogs.plan import PlanScreen
from widgets.rollout_board import RolloutBoard

KEYS = {"KeyBar", "FooterKey"}


@pytest.fixture
def failed_rollout() -> FrozenConsole:
    story = FrozenRollout(halfway("maint")).upgraded("web1", "web2").batch("web3").step("web3", "drain")
    return story.failed("web3", "drain", FAILURE).console()


def visible(screen: Screen[object]) -> Iterator[tuple[Widget, Region]]:
    """Each widget of which something is seen, with the region of that."""
    for widget, (region, clip) in screen._compositor.visible_widgets.items():
        yield widget, region.intersection(clip)


def toasts(screen: Screen[object]) -> Region:
    """The part of the screen in which notifications are seen."""
    return Region.from_union([region for widget, region in visible(screen) if isinstance(widget, Toast)])


def covered(screen: Screen[object]) -> set[str]:
    """The names of the classes of widgets that notifications cover."""
    area = toasts(screen)
    others = [(widget, region) for widget, region in visible(screen) if not isinstance(widget, Toast)]
    return {type(leaf).__name__ for leaf, region in others if not leaf.children and region.overlaps(area)}


async def notify(app: FrozenConsole, pilot: Pilot[str], text: str) -> None:
    await pilot.pause()
    app.notify(text, markup=False)
    while not any(toast.region for toast in app.screen.query(Toast)):
        await pilot.pause(0.02)


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_only_keys_are_covered_on_every_screen(
    failed_rollout: FrozenConsole, size: tuple[int, int]
) -> None:
    app = failed_rollout
    overview = FrozenOverview([row for row in FrozenOverview().shown for _ in range(6)])  # a full table
    async with app.run_test(size=size, notifications=True) as pilot:
        await pilot.pause()
        board = app.screen.query_one(RolloutBoard).region
        await notify(app, pilot, "no other rollout is running")
        assert covered(app.screen) == {"KeyBar"}
        assert app.screen.query_one(RolloutBoard).region == board  # nothing has moved
        toast = app.screen.query_one(Toast).region
        assert app.get_widget_at(toast.x + 3, toast.y)[0] is app.screen.query_one(Toast)
        for screen in (FleetScreen(overview), PlanScreen(plan())):  # type: ignore[arg-type]
            await app.push_screen(screen)
            await notify(app, pilot, "something happened")
            assert covered(app.screen) <= KEYS, screen
            await app.pop_screen()
        for key in ("t", "enter", "question_mark", "q"):
            await pilot.press(key)
            await notify(app, pilot, f"after {key}")
            assert covered(app.screen) <= KEYS, key
            await pilot.press("escape")


async def test_many_words_cover_nothing_either(failed_rollout: FrozenConsole) -> None:
    app = failed_rollout
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        for number in range(5):
            await notify(app, pilot, f"something happened {number}: " + "and more of it " * 9)
        assert covered(app.screen) == {"KeyBar"}
        assert toasts(app.screen).height == 3
        assert app.screen.query_one(RolloutBoard).region.bottom == toasts(app.screen).y


async def test_a_notification_may_run_out_before_it_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """A timer of Textual with a time that is over never ends, and nothing else runs any more."""
    stood_still_s = 0.0
    delays_s: list[float] = []
    mount_all, set_timer = ToastRack.mount_all, Toast.set_timer

    def mount(rack: ToastRack, toasts: Iterable[Widget]) -> AwaitMount:
        nonlocal stood_still_s
        stood_still_s = 100.0  # the process got no time, or was suspended
        return mount_all(rack, toasts)

    def start(toast: Toast, delay_s: float, expire: TimerCallback) -> Timer:
        delays_s.append(delay_s)
        return set_timer(toast, max(0.01, delay_s), expire)

    monkeypatch.setattr(textual.notifications, "time", lambda: time.time() + stood_still_s)
    monkeypatch.setattr(ToastRack, "mount_all", mount)
    monkeypatch.setattr(Toast, "set_timer", start)
    app = FrozenConsole(CALM)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        app.screen.notify("copied", timeout=2)
        while not delays_s or app.screen.query(Toast):
            await pilot.pause(0.01)
    assert min(delays_s) > 0


async def test_a_click_on_a_notification_that_has_just_gone_does_nothing() -> None:
    app = FrozenConsole(CALM)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await notify(app, pilot, "copied")
        toast = app.screen.query_one(Toast)
        x, y = toast.region.x + 3, toast.region.y
        await toast.remove()
        assert app.screen.get_widget_at(x, y)[0] is toast, "the screen has not been laid out again"
        await app.on_event(events.MouseDown(None, x, y, 0, 0, 1, False, False, False, x, y))
