"""The transcript: complete, limited in size, searchable, and unaffected by markup in its texts."""

import re
from collections import deque
from pathlib import Path

import pytest
from msgspec import structs
from textual.app import App, ComposeResult

from console.tui.screens.detail import TranscriptScreen
from orchestrator.events.events import (
    AnyEvent,
    CommandFinished,
    NodeNote,
    Record,
    StepStarted,
    Waiting,
)
from orchestrator.events.judgement import Measured
from orchestrator.events.text import describe
from tests.support.console_values import HIDDEN, harmless
from tests.support.fake_fleet import World
from tests.support.verdicts import BAD, GOOD
from tests.support.virtual_time import run
from widgets.transcript import Lines, Transcript


class Shell(App[None]):
    def compose(self) -> ComposeResult:
        yield Transcript()


def sent(command: str, reply: str = "\n", node: str = "web1", ok: bool = True) -> CommandFinished:
    return CommandFinished(
        node=node, step="drain", target="lb1", command=command, reply=reply, ok=ok, duration_s=0.1
    )


def feed(app: App[None], *events: AnyEvent) -> Transcript:
    transcript = app.query_one(Transcript)
    for number, event in enumerate(events, 1):
        transcript.add(Record(number, 1000.0, event))
    return transcript


def screen(app: App[None]) -> list[str]:
    lines = app.query_one(Lines)
    return [lines.render_line(y).text.rstrip() for y in range(lines.size.height)]


def words(transcript: Transcript) -> list[str]:
    """The text without times, and with single spaces."""
    lines = transcript.lines_as_text().splitlines()
    return [re.sub(r"^\d\d:\d\d:\d\d ", "", re.sub(" +", " ", line)).strip() for line in lines]


async def test_a_command_and_each_line_of_its_raw_reply() -> None:
    app = Shell()
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        transcript = feed(
            app, sent("show info", "Name: HAProxy\nPid: 7\n"), sent("set x", "No such server.\n", ok=False)
        )
        await pilot.pause()
        assert words(transcript) == [
            "web1 drain lb1 > show info",
            "< Name: HAProxy",
            "< Pid: 7",
            "web1 drain lb1 ✗> set x",
            "< No such server.",
        ]
        assert [line.split(" ", 1)[0] for line in screen(app)[:1]] == [
            transcript.lines_as_text().split(" ", 1)[0]
        ]


@pytest.fixture(scope="module")
def healthy() -> list[Record]:
    async def upgrade() -> list[Record]:
        world = World(nodes=2)
        await world.upgrade()
        return world.records

    return run(upgrade())


@pytest.mark.parametrize("width", [80, 120])
async def test_a_real_rollout_reads_as_a_story(width: int, healthy: list[Record]) -> None:
    app = Shell()
    async with app.run_test(size=(width, 24), notifications=True) as pilot:
        transcript = app.query_one(Transcript)
        for record in healthy:
            transcript.add(record)
        await pilot.pause()
        told = words(transcript)
        assert told[0] == "· me@here starts shop → 2.0 on web1, web2"
        assert "web1 drain · started" in told
        assert "web1 drain lb1 > set server shop/web1 state drain" in told
        assert told[-1].startswith("· ended healthy in")
        assert "ended healthy" in screen(app)[-1]  # it follows the end


async def test_a_reason_that_is_only_repeated_is_told_once() -> None:
    def waiting(reason: str, left: float) -> Waiting:
        return Waiting(node="web1", step="drain", reason=reason, remaining_s=left)

    app = Shell()
    async with app.run_test(size=(80, 24)):
        begun = StepStarted(node="web1", step="drain")
        transcript = feed(
            app, waiting("a", 9), waiting("a", 8), waiting("b", 7), waiting("a", 6), begun, waiting("a", 9)
        )
        assert [line[-1] for line in words(transcript)] == ["a", "b", "a", "d", "a"]


async def test_a_verdict_is_told_when_it_changes_and_a_measurement_never() -> None:
    app = Shell()
    async with app.run_test() as pilot:
        measured = Measured(duration_s=60, servers=[])
        transcript = feed(app, GOOD, measured, structs.replace(GOOD, requests=4_000), BAD, measured, BAD)
        await pilot.pause()
        assert words(transcript) == [f"· {describe(GOOD)}", f"web1 ✗ {describe(BAD)}"]


async def test_long_lines_are_cut_on_the_screen_only() -> None:
    app = Shell()
    async with app.run_test(size=(80, 24)) as pilot:
        transcript = feed(app, sent("x" * 10_000))
        await pilot.pause()
        assert screen(app)[0].endswith("x…")
        assert len(screen(app)[0]) <= 80
        assert "x" * 10_000 in transcript.lines_as_text()


async def test_nothing_from_outside_is_obeyed() -> None:
    hostile = f"[red]x[/] {{who}} \x1b[31m\x07\u202e\r日本{HIDDEN}"
    app = Shell()
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        transcript = feed(app, sent(hostile, hostile, node=hostile), NodeNote(node=hostile, text=hostile))
        transcript.search("[red]")
        await pilot.pause()
        assert all(map(harmless, [*screen(app), *transcript.lines_as_text().splitlines()]))
        assert "note: [red]x[/] {who} \\x1b[31m\\x07" in transcript.lines_as_text()
        transcript.action_only()
        assert transcript.only.startswith("[red]x[/]")
        await pilot.pause()


async def test_it_is_saved_beside_what_is_there_and_for_us_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    precious, name = tmp_path / "precious", "rolldeck-transcript"
    precious.write_text("precious")
    (tmp_path / f"{name}.txt").symlink_to(precious)
    (tmp_path / f"{name}-2.txt").write_text("another one")

    class Desk(App[None]):
        def on_mount(self) -> None:
            self.push_screen(TranscriptScreen(deque([Record(1, 1000.0, sent("show stat"))])))

    app = Desk()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("ctrl+s")
        await pilot.pause()
    assert precious.read_text() == "precious"
    assert (tmp_path / f"{name}-2.txt").read_text() == "another one"
    saved = tmp_path / f"{name}-3.txt"
    assert "show stat" in saved.read_text()
    assert saved.stat().st_mode & 0o777 == 0o600


async def test_one_node_only_and_all_again() -> None:
    app = Shell()
    async with app.run_test(size=(80, 24)) as pilot:
        transcript = feed(app, sent("a", node="web1"), sent("b", node="web2"), sent("c", node=""))
        await pilot.press("o", "o")
        assert words(transcript) == ["web2 drain lb1 > b", "< (empty)"]
        transcript.add(Record(9, 1000.0, sent("d", node="web1")))
        assert len(words(transcript)) == 2
        await pilot.press("o")
        assert (transcript.only, len(words(transcript))) == ("", 8)


async def test_search_by_keys_goes_on_and_around() -> None:
    app = Shell()
    async with app.run_test(size=(80, 12)) as pilot:
        transcript = feed(app, *(sent(f"show {'STAT' if n % 20 == 0 else 'info'} {n}") for n in range(60)))
        await pilot.pause()
        await pilot.press("slash", *"stat", "enter")
        await pilot.pause()
        assert any("STAT 0" in line for line in screen(app))  # from the end it goes around
        await pilot.press("n", "n")
        assert any("STAT 40" in line for line in screen(app))
        await pilot.press("N")
        assert any("STAT 20" in line for line in screen(app))
        assert transcript.search("nowhere") == 0


async def test_it_follows_the_end_unless_scrolled_up() -> None:
    app = Shell()
    async with app.run_test(size=(80, 12)) as pilot:
        transcript = feed(app, *(sent(f"c{n}") for n in range(50)))
        await pilot.pause()
        app.query_one(Lines).scroll_home(animate=False, immediate=True)
        transcript.add(Record(99, 1000.0, sent("last")))
        await pilot.pause()
        assert "c0" in screen(app)[0]
        await pilot.press("f")
        await pilot.pause()
        assert "last" in screen(app)[-2]


async def test_memory_is_bounded_and_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("widgets.transcript.MAX_LINES", 40)
    app = Shell()
    async with app.run_test(size=(80, 12)) as pilot:
        transcript = app.query_one(Transcript)
        for number in range(30):
            transcript.add(Record(number, 1000.0, sent(f"c{number}")))
        await pilot.pause()
        assert transcript.dropped == 20
        assert words(transcript)[0] == "(20 older lines dropped; 40 are kept)"
        assert len(transcript.lines_as_text().splitlines()) == 41
        app.query_one(Lines).scroll_to(y=10, animate=False, immediate=True)
        before = screen(app)
        for number in range(2):
            transcript.add(Record(99 + number, 1000.0, sent("new")))
        await pilot.pause()
        assert screen(app) == before  # what is being read stays where it is
