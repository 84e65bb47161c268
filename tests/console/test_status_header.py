"""The status line: what is live, how much is in rotation, and what is wrong."""

from dataclasses import replace

import pytest
from rich.cells import cell_len
from textual.app import App, ComposeResult

from tests.support.console_values import harmless
from widgets.segments import truncate
from widgets.status_header import StatusHeader, describe_trouble
from widgets.table.by_server import RowKey
from widgets.table.model import BalancerBadge, MainViewModel, Row, RowCounts
from widgets.table.names import TableNames

LIVE = BalancerBadge("lb1", "live", "2.6.12", 0.4, "")
STALE = BalancerBadge("lb2", "stale", "2.6.12", 12, "connection refused")
NEW = BalancerBadge("lb3", "connecting", "", 0, "")
HOSTILE = "[red]x[/] \x1b[31m\x07\u202e" + "y" * 10_000


class NoRows:
    names = TableNames()

    def __len__(self) -> int:
        return 0

    def __getitem__(self, index: int) -> Row:
        raise IndexError(index)

    def key(self, index: int) -> RowKey:
        raise IndexError(index)

    def index(self, key: RowKey) -> int | None:
        return None


CALM = MainViewModel("shop", (LIVE, replace(LIVE, name="lb2")), RowCounts(4, 1, 1, 0), NoRows(), "")


class Shell(App[None]):
    def compose(self) -> ComposeResult:
        yield StatusHeader()


async def shown(picture: MainViewModel, width: int = 80) -> list[str]:
    app = Shell()
    async with app.run_test(size=(width, 24), notifications=True) as pilot:
        header = app.query_one(StatusHeader)
        header.show(picture, "16:42:05")
        await pilot.pause()
        return [header.render_line(y).text for y in range(header.size.height)]


@pytest.mark.parametrize("width", [80, 120])
async def test_one_line_while_all_is_well(width: int) -> None:
    (line,) = await shown(CALM, width)
    version = "2.6.12" if width == 120 else "2.6"
    assert line.startswith(f"shop  lb1 ● {version}  lb2 ● {version}  ")
    assert line.endswith(" servers up 4  drain 1  maint 1  down 0   16:42:05")
    assert len(line) == width - 2  # of padding


async def test_the_counts_say_of_what_they_are_and_stay_where_they_are() -> None:
    (servers,) = await shown(CALM)
    (nodes,) = await shown(replace(CALM, counts=replace(CALM.counts, of="node")))
    assert servers.replace("servers", "  nodes") == nodes


async def test_what_is_wrong_is_in_words_not_only_in_color() -> None:
    first, second = await shown(replace(CALM, instances=(LIVE, STALE, NEW)), 120)
    assert "lb1 ● 2.6.12  lb2 ✗ stale 12 s  lb3 ◌ connecting" in first
    assert second.strip() == "lb2: connection refused · lb3: no answer yet"


async def test_a_reload_and_read_only_are_told() -> None:
    reloaded = replace(LIVE, note="reloaded 12 s ago")
    first, second = await shown(replace(CALM, instances=(reloaded,), read_only="the socket's level is user"))
    assert "lb1 ● 2.6.12" in first
    assert second.strip() == "lb1: reloaded 12 s ago · read-only: the socket's level is user"


async def test_without_room_the_live_ones_are_counted_and_the_others_named() -> None:
    many = tuple(replace(LIVE, name=f"balancer{n}") for n in range(8))
    first, _ = await shown(replace(CALM, instances=(*many, STALE)))
    assert "● 8/9 live  lb2 ✗ stale 12 s" in first
    assert first.endswith("16:42:05")


async def test_numbers_that_change_move_nothing() -> None:
    (one,) = await shown(replace(CALM, counts=RowCounts(12, 0, 0, 0)))
    (other,) = await shown(replace(CALM, counts=RowCounts(2, 10, 0, 0)))
    assert one.index("drain") == other.index("drain")
    assert one.index("maint") == other.index("maint")


@pytest.mark.parametrize("width", [80, 120])
async def test_nothing_from_outside_is_obeyed(width: int) -> None:
    hostile = BalancerBadge(HOSTILE, "stale", HOSTILE, 12, HOSTILE)
    lines = await shown(MainViewModel(HOSTILE, (hostile,) * 3, CALM.counts, NoRows(), HOSTILE), width)
    assert len(lines) == 2
    for line in lines:
        assert harmless(line)
        assert len(line) == width - 2  # of padding
    assert lines[0].startswith("[red]x[/] \\x1b")
    assert "down 0   16:42:05" in lines[0]


async def test_it_is_one_line_again_when_all_is_well_again() -> None:
    app = Shell()
    async with app.run_test(size=(80, 24)) as pilot:
        header = app.query_one(StatusHeader)
        for picture, height in ((CALM, 1), (replace(CALM, instances=(STALE,)), 2), (CALM, 1)):
            header.show(picture, "16:42:05")
            await pilot.pause()
            assert header.size.height == height


def test_a_cut_counts_columns_not_characters() -> None:
    assert truncate("日本語", 5) == "日本…"
    assert truncate("web1", 4) == "web1"


def test_of_a_reason_that_is_too_long_the_end_stays() -> None:
    line = BalancerBadge(
        "lb1", "stale", "2.6.12", 12, "/a/very/" + "long/" * 30 + "lb1.sock: Connection refused"
    )
    both = replace(CALM, instances=(line, replace(line, name="lb2")))
    words = "".join(text for text, _ in describe_trouble(both, 80))
    assert cell_len(words) <= 80
    assert words.count("lb1.sock: Connection refused") == 2
