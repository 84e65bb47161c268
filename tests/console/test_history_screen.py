"""The journal in the console: its list, its filters, and one entry with everything that leads on from it."""

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from textual.app import App
from textual.pilot import Pilot

from console.tui.screens.history import FIRST_PAGE_ENTRIES, HistoryScreen
from orchestrator.journal.reader import HistoryReader
from orchestrator.journal.store import Journal
from tests.console.real_console import read
from tests.support.console_values import HOSTILE, harmless
from tests.support.verdicts import BAD, with_verdicts
from tests.support.wait import until
from tests.unit import journals


class HistoryApp(App[None]):
    """Nothing but the history."""

    def __init__(self, path: Path, application: str) -> None:
        super().__init__()
        self._shown = HistoryScreen(HistoryReader(path), application)
        self.copied = ""

    def on_mount(self) -> None:
        self.push_screen(self._shown)

    def copy_to_clipboard(self, text: str) -> None:
        self.copied = text


@asynccontextmanager
async def opened(
    path: Path, application: str = "shop", size: tuple[int, int] = (80, 24)
) -> AsyncIterator[tuple[HistoryApp, Pilot[None]]]:
    app = HistoryApp(path, application)
    async with app.run_test(size=size, notifications=True) as pilot:
        yield app, pilot


def is_harmless(text: str) -> bool:
    return all(harmless(line) for line in text.splitlines())


async def sees(app: App[None], *words: str) -> str:
    """Wait until the screen in front says all of this; return all that it says."""
    await until(lambda: all(text in read(app.screen) for text in words))
    return read(app.screen)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "journal.db"
    journals.write(found, journals.with_traffic(journals.healthy()), operator="ann@ops")
    journals.write(found, with_verdicts(journals.troubled(), BAD), operator="bob@ops", follows=1)
    journals.write(found, journals.healthy()[:1], application="pay", host="elsewhere")
    return found


async def test_the_list_its_filters_and_the_way_back(path: Path) -> None:
    async with opened(path) as (app, pilot):
        text = await sees(app, "History of shop · 2 entries")
        assert "WHEN" in text
        assert "APP" not in text, "all are of one application"
        await pilot.press("A")
        assert "pay" in await sees(app, "History of all applications · 3 entries", "APP")
        await pilot.press("slash", *"result:aborted", "enter")
        assert "healthy" not in await sees(app, "1 entry", "/result:aborted · esc clears", "bob@ops")
        await pilot.press("slash", *[*["backspace"] * 7, *"x:y"], "enter")
        await until(lambda: any("no result 'x:y'" in toast.message for toast in app._notifications))
        await pilot.press("escape", "escape")
        await sees(app, "History of shop · 2 entries")
        await pilot.press("slash", *"by:nobody", "enter")
        await sees(app, "no such entries: esc clears /by:nobody")
        await pilot.press("escape", "escape")
        await until(lambda: not isinstance(app.screen, HistoryScreen))


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_one_entry_its_transcript_its_verdicts_and_its_export(
    path: Path, size: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with opened(path, size=size) as (app, pilot):
        await sees(app, "2 entries")
        await pilot.press("enter")
        await sees(app, "upgrade 2 of shop: upgrade 1.0 → 2.0 · aborted", "bob@ops", "Out of rotation: web2")
        await pilot.press("y")
        await until(lambda: "web2" in app.copied)
        assert "waited" in app.copied
        assert "asks for retry, skip, abort" in app.copied
        await pilot.press("t")
        await sees(app, "all nodes · ", "ann answered abort")
        await pilot.press("q")
        await pilot.press("c")
        await sees(app, "2.0")
        await pilot.press("q")
        await pilot.press("ctrl+s", "J")
        await until(lambda: (tmp_path / "rolldeck-2.jsonl").exists())
        assert "<html" in (tmp_path / "rolldeck-2.html").read_text()
        lines = [json.loads(line) for line in (tmp_path / "rolldeck-2.jsonl").read_text().splitlines()]
        assert (lines[0]["entry"], lines[-1]["event"]) == (2, "rollout_ended")
        assert {line["entry"] for line in lines} == {2}
        assert os.stat(tmp_path / "rolldeck-2.html").st_mode & 0o077 == 0
        await pilot.press("escape")
        await sees(app, "History of shop")


async def test_an_entry_says_why_it_was_begun(tmp_path: Path) -> None:
    journals.write(tmp_path / "j.db", journals.numbered(journals.started(reason="INC-7: disk")))
    async with opened(tmp_path / "j.db") as (app, pilot):
        await sees(app, "1 entry")
        await pilot.press("enter")
        await sees(app, "reason    INC-7: disk")


async def test_a_long_journal_shows_its_beginning_at_once(path: Path) -> None:
    with Journal(path) as journal, journal.transaction():
        for _ in range(3 * FIRST_PAGE_ENTRIES):
            journal.begin(journals.header())
    async with opened(path) as (app, pilot):
        await sees(app, f"{3 * FIRST_PAGE_ENTRIES + 2} entries")
        await pilot.press("end")
        await sees(app, "ann@ops")


async def test_hostile_text_and_a_damaged_entry_are_shown_harmlessly(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    name = HOSTILE[0]
    journals.write(path, journals.healthy(), operator=name, version=name)
    journals.write(path, journals.healthy())
    journals.change(path, "UPDATE entries SET kind = 'x' WHERE id = 2")
    async with opened(path) as (app, pilot):
        assert is_harmless(await sees(app, "2 entries", "cannot be read"))
        await pilot.press("enter")
        await sees(app, "cannot be read")
        await pilot.press("escape", "down", "enter")
        assert is_harmless(await sees(app, "upgrade 1 of shop"))


async def test_no_journal_is_an_empty_history(tmp_path: Path) -> None:
    async with opened(tmp_path / "none.db") as (app, _):
        await sees(app, "0 entries", "no entries")
