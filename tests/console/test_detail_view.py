"""The detail widget: it scrolls, keeps its position, and follows the end on request."""

from dataclasses import replace

import pytest
from textual.app import App, ComposeResult

from backends.model import ServerRef
from tests.console.detail_values import NOW, WEB1, detail, instance, read, stream
from tests.support.console_values import HOSTILE, harmless
from widgets.detail.view import DetailTitle, DetailView
from widgets.transcript import Line

LB1 = ServerRef("lb1", *WEB1)


class Shell(App[None]):
    def compose(self) -> ComposeResult:
        yield DetailTitle()
        yield DetailView()

    def on_mount(self) -> None:
        self.query_one(DetailView).focus()


def said(number: int) -> Line:
    return Line(number, "16:42:05", "web1", "drain", "lb1", "event", f"line {number}")


def screen(app: App[None]) -> list[str]:
    view = app.query_one(DetailView)
    return [view.render_line(y).text.rstrip() for y in range(view.size.height)]


async def test_it_scrolls_and_what_is_read_stays_when_more_sessions_come() -> None:
    app = Shell()
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        view = app.query_one(DetailView)
        view.show(detail(in_flight={LB1: read(stream(3))}, journal=tuple(map(said, range(60)))))
        await pilot.pause()  # only a page that has been laid out can be scrolled
        await pilot.press(*["pagedown"] * 2)
        top = screen(app)[0]
        assert "line" in top
        more = tuple(stream(90 - number, client=f"10.0.0.{number}:1") for number in range(30))
        view.show(detail(in_flight={LB1: read(*more)}, journal=tuple(map(said, range(61)))))
        await pilot.pause()
        assert screen(app)[0] == top
        await pilot.press("home")
        assert "● live" in screen(app)[0]
        await pilot.press("down", "down", "up")
        assert "rotation" in screen(app)[0]


async def test_at_the_top_what_is_new_above_is_seen() -> None:
    app = Shell()
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        view = app.query_one(DetailView)
        many = tuple(map(said, range(60)))
        view.show(detail(journal=many))
        await pilot.pause()
        dead = instance("lb2", state="stale", failing="connection refused", read_at=NOW - 3)
        view.show(detail(instance("lb1"), dead, journal=many))
        await pilot.pause()
        assert screen(app)[0] == " lb2: connection refused; this is 3 s old"


async def test_at_the_end_it_follows_until_somebody_goes_up() -> None:
    app = Shell()
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        view = app.query_one(DetailView)
        view.show(detail())
        await pilot.press("end")
        for count in (5, 60):
            view.show(detail(journal=tuple(map(said, range(count)))))
            await pilot.pause()
            assert f"line {count - 1}" in screen(app)[-1]
        await pilot.press("pageup")
        top = screen(app)[0]
        view.show(detail(journal=tuple(map(said, range(70)))))
        await pilot.pause()
        assert screen(app)[0] == top


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 50), (20, 5)])
@pytest.mark.parametrize("no_color", [False, True])
async def test_hostile_text_at_every_size(
    size: tuple[int, int], no_color: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if no_color:
        monkeypatch.setenv("NO_COLOR", "1")
    app = Shell()
    async with app.run_test(size=size, notifications=True) as pilot:
        for text in HOSTILE:
            bad = detail(node=text, version=text, in_flight={LB1: replace(read(stream(3)), failing=text)})
            app.query_one(DetailTitle).show(bad, "16:42:05")
            app.query_one(DetailView).show(bad)
            await pilot.press("end", "home")
            assert all(harmless(line) for line in screen(app))
            assert harmless(app.query_one(DetailTitle).render_line(0).text)
