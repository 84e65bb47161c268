"""The log of a service: bounded, harmless, and still while somebody reads further up."""

import pytest
from textual.app import App, ComposeResult

from backends.output_stream import clean_line
from tests.support.console_values import HOSTILE, harmless
from widgets.detail.log_view import LogLines, LogView


class Shell(App[None]):
    def compose(self) -> ComposeResult:
        yield LogView()

    def on_mount(self) -> None:
        self.query_one(LogView).focus()


def screen(app: App[None]) -> list[str]:
    view = app.query_one(LogLines)
    return [view.render_line(y).text.rstrip() for y in range(view.size.height)]


async def test_it_is_bounded_and_what_is_read_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("widgets.detail.log_view.MAX_LOG_LINES", 100)
    app = Shell()
    async with app.run_test(size=(80, 12), notifications=True) as pilot:
        log = app.query_one(LogView)
        log.show_source("/var/log/shop.log")
        log.add([f"line {number}" for number in range(150)])
        await pilot.pause()
        assert screen(app)[-1] == "line 149"
        assert log.describe() == ["100 lines", "50 older were dropped"]
        await pilot.press("pageup")
        top = screen(app)[0]
        log.add(["new"] * 10)
        await pilot.pause()
        assert screen(app)[0] == top
        await pilot.press("f")
        await pilot.pause()
        assert screen(app)[-1] == "new"


async def test_notes_are_marked_and_nothing_moves_anything() -> None:
    app = Shell()
    async with app.run_test(size=(80, 12), notifications=True) as pilot:
        log = app.query_one(LogView)
        for text in HOSTILE:
            log.add([clean_line(text)])
            log.add_note(text)
            log.show_source(text)
            log.search(text)
            await pilot.pause()
            assert all(map(harmless, screen(app)))
        log.add_note("it has ended")
        await pilot.pause()
        assert screen(app)[-1] == "! it has ended"


async def test_a_long_line_is_seen_by_scrolling_sideways() -> None:
    app = Shell()
    async with app.run_test(size=(80, 12), notifications=True) as pilot:
        app.query_one(LogView).add(["x" * 100 + "end"])
        await pilot.pause()
        assert screen(app)[0].endswith("…")
        await pilot.press("right", "right", "right")
        assert screen(app)[0].endswith("end")
        await pilot.press(*["left"] * 9)
        assert screen(app)[0].startswith("xxx")
