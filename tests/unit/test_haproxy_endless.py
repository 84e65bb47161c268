"""A HAProxy that answers without measure: what is kept of it, and how long everything else has to wait."""

from collections.abc import Callable
from pathlib import Path

import pytest

from backends.command import CommandFinished
from backends.errors import MAX_PROBLEM, BackendError, UnknownOutcome, UnreadableReply
from backends.haproxy import commands
from backends.haproxy.address import HaproxySettings
from backends.haproxy.parse import MAX_NAME_CHARS, MAX_TEXT_CHARS, parse_number
from backends.haproxy.runtime import Runtime
from backends.haproxy.transport import MAX_RECORDED_BYTES, WriteReply
from backends.model import ServerRef
from tests.support.loop_time import watching_loop
from tests.support.recorder import exchanges
from tests.support.servers.scripted_haproxy import Reply, scripted_haproxy

WEB1 = ServerRef("lb1", "shop", "web1")
CAPTURED = Path(__file__).parent / "captured"
ADMIN = (CAPTURED / "2.6-admin.txt").read_text()
SESSIONS = (CAPTURED / "2.6-sessions.txt").read_text()
LONG = 10_000_000
BUSY_SECONDS = 1.0  # of the loop's thread at a time; some of it is this test's own fake


def runtime(socket: Path, seen: list[CommandFinished] | None = None) -> Runtime:
    settings = HaproxySettings(socket=f"unix://{socket}", timeout=60)
    return Runtime("lb1", settings, listener=exchanges(seen) if seen is not None else None)


def replaced(old: str, new: str, count: int = 1) -> Callable[[], str]:
    assert old in ADMIN
    return lambda: ADMIN.replace(old, new, count)


def table(row: Callable[[int], str]) -> Callable[[], str]:
    """More rows of `show stat` than HAProxy could have."""

    def build() -> str:
        info, level, state, stat = ADMIN.split("\n\n")[:4]
        return "\n\n".join((info, level, state, stat + "\n" + "\n".join(map(row, range(110_000))), ""))

    return build


HOSTILE: dict[str, Callable[[], str]] = {
    "a name": replaced("shop,up,", f"shop,{'n' * LONG},"),
    "a name in one table": replaced("shop,up,", f"shop,{'n' * (MAX_NAME_CHARS + 1)},"),
    "a backend": replaced("shop,", f"{'b' * (MAX_NAME_CHARS + 1)},", -1),
    "quoted name": replaced("shop,up,", f'shop,"{"n" * (MAX_NAME_CHARS + 1)}",'),
    "a check": replaced("Layer7 check passed", "c" * LONG),
    "a column": replaced("# pxname,", f"# pxname,{'c' * LONG},"),
    "columns": replaced("# pxname,", f"# pxname,{'c,' * 5_000}"),
    "a version": replaced("Version: ", f"Version: {'9' * LONG}"),
    "a process id": replaced("\nPid: ", f"\nPid: {'9' * 4_000}"),
    "another digit": replaced("\nPid: ", "\nPid: ٣"),
    "not a number": replaced("\nUptime_sec: ", "\nUptime_sec: nan"),
    "infinity": replaced("shop,up,0,", "shop,up,inf,"),
    "a number": replaced("shop,up,0,", f"shop,up,{'7' * 10_000},"),
    "a number that int takes": replaced("shop,up,0,", f"shop,up,{'7' * 4_000},"),
    "lines of info": replaced("Name: ", "Name: x\n" * 1_000_000 + "Name: "),
    "a level": lambda: "\n\n".join((ADMIN.split("\n\n")[0], "x" * LONG, *ADMIN.split("\n\n")[2:])),
    "rows": table(lambda number: f"shop,web{number}" + "," * 100),
    "empty rows": lambda: ADMIN.removesuffix("\n\n") + "\n " * 5_000_000 + "\n\n",
    "replies": lambda: "\n\n" * 5_000_000,
    "newlines": lambda: "\n" * LONG,
    "no text": lambda: "\udcff" * LONG,
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_table_without_measure_is_not_read(tmp_path: Path, name: str) -> None:
    text = HOSTILE[name]().encode(errors="surrogateescape")
    async with scripted_haproxy(tmp_path, Reply(text)) as scripted, watching_loop() as loop:
        with pytest.raises(BackendError) as caught:
            await runtime(scripted.socket).snapshot()
    assert type(caught.value) is UnreadableReply
    assert len(str(caught.value)) < MAX_PROBLEM + 100
    assert loop.longest_s < BUSY_SECONDS


async def test_texts_that_nothing_depends_on_are_cut(tmp_path: Path) -> None:
    text = ADMIN.replace("Layer7 check passed", "c" * 5_000).replace("Version: ", f"Version: {'v' * 5_000}")
    async with scripted_haproxy(tmp_path, Reply(text.encode())) as scripted:
        snapshot = await runtime(scripted.socket).snapshot()
    assert snapshot.info.version.endswith("… (5,016 characters)")
    assert snapshot.servers[0].last_check == "c" * MAX_TEXT_CHARS + "… (5,000 characters)"


@pytest.mark.parametrize(
    "text",
    ["\n[3]: " + "no" * 18_000_000 + "\n\n", "\n" * 8_000_000, "[3]: x\n\n" * 1_000_000],
    ids=["words", "newlines", "answers"],
)
async def test_the_answer_to_a_write_is_cut_before_it_is_recorded(tmp_path: Path, text: str) -> None:
    seen: list[CommandFinished] = []
    async with scripted_haproxy(tmp_path, Reply(text.encode())) as scripted, watching_loop() as loop:
        with pytest.raises(UnknownOutcome, match="the reply is longer than 65,536 bytes"):
            await runtime(scripted.socket, seen).write(commands.drain(WEB1))
    assert len(seen[0].reply) <= MAX_RECORDED_BYTES + 50
    assert seen[0].reply.endswith(" bytes or more)")
    assert loop.longest_s < BUSY_SECONDS


def test_answers_are_divided_in_a_time_in_proportion_to_their_length() -> None:
    assert len(WriteReply.parse("\n" * 1_000_000).answers) == 1_000_000


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (" age=", f" age={'9' * 10_000}s "),
        (" age=", " age=99999999999999999999d "),
        ("src=", f"src={'1' * LONG}"),
    ],
    ids=["age", "days", "client"],
)
async def test_a_session_without_measure_is_shown_in_short(tmp_path: Path, old: str, new: str) -> None:
    line = next(line for line in SESSIONS.split("\n") if " be=" in line and " be=<NONE>" not in line)
    backend, server = line.split(" be=")[1].split()[0], line.split(" srv=")[1].split()[0]
    text = f"{line.replace(old, new)}\n\n"
    async with scripted_haproxy(tmp_path, Reply(text.encode())) as scripted, watching_loop() as loop:
        sessions = await runtime(scripted.socket).sessions(backend, server, 5)
    assert sessions.total == 1
    assert len(sessions.oldest[0].client) < MAX_NAME_CHARS + 50
    assert loop.longest_s < BUSY_SECONDS


@pytest.mark.parametrize(
    "text", ["", "-", "+1", " 1", "1_000", "1e3", "0x1", "nan", "-inf", "²", "٣", "9" * 19]
)
def test_only_whole_numbers_are_numbers(text: str) -> None:
    with pytest.raises(ValueError, match="is not a whole number"):
        parse_number(text)
