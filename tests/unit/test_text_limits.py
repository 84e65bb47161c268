"""What is kept and shown of texts without end, whoever sends them."""

import time

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends import text as text_limits
from backends.command import Command, CommandFinished
from backends.errors import MAX_PROBLEM, ConfigError, Refused
from backends.hosts.local import LocalHost
from backends.hosts.output import Capture
from backends.services import container_output, monit_output, systemd_unit
from backends.text import MAX_DETAIL_CHARS, abridge, decode, last_lines, shorten
from orchestrator.events import events
from orchestrator.events.events import Record
from tests.support.recorder import exchanges
from widgets.transcript import MAX_REPLY, make_lines

LONG = 1_000_000
CPU_SECONDS = 10.0  # instead of minutes


def test_what_is_cut_says_how_long_it_was() -> None:
    assert shorten("abc", 3) == "abc"
    assert shorten("x" * 36_000_000, 3) == "xxx… (36,000,000 characters)"
    assert abridge("abcdef", 6) == "abcdef"
    assert abridge("abcdefg", 4) == "ab\n… (7 characters; the middle is left out)\nfg"


@given(st.binary(max_size=200), st.integers(1, 9))
def test_what_is_decoded_in_pieces_is_the_same(data: bytes, piece: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_limits, "_CHUNK_BYTES", piece)
        assert decode(data) == data.decode(errors="replace")


@pytest.mark.parametrize("error", [Refused("lb1", "n" * LONG), ConfigError("Consul", "name", "n" * LONG)])
def test_the_text_of_an_error_has_a_limit(error: Refused | ConfigError) -> None:
    assert error.problem == "n" * MAX_PROBLEM + "… (1,000,000 characters)"
    assert len(str(error)) < MAX_PROBLEM + 100


def test_what_a_service_manager_says_has_a_limit() -> None:
    found = monit_output.parse_status(f"Process 'shop'\n  status  OK | {'x' * LONG}\n", "shop")
    assert found is not None
    states = [
        monit_output.state_of("web1", found),
        systemd_unit.state_of({"ActiveState": "active", "SubState": "x" * LONG}),
        container_output.state_of(container_output.InspectedState("exited", error="x" * LONG)),
    ]
    for state in states:
        assert MAX_DETAIL_CHARS < len(state.detail) < MAX_DETAIL_CHARS + 50
        assert state.detail.endswith(" characters)")


async def test_a_command_whose_output_was_cut_says_so_in_the_transcript() -> None:
    seen: list[CommandFinished] = []
    host = LocalHost("here", max_output=1000, listener=exchanges(seen))
    await host.run(Command.shell("head -c 5000000 /dev/zero | tr '\\0' x"))
    assert seen[0].reply == "x" * 1000 + "… (5,000,000 bytes, of which the rest was left out)"


@pytest.mark.parametrize("piece", [b"x", b"\n", b"x\n"])
async def test_the_line_with_the_process_id_is_found_in_a_time_in_proportion(piece: bytes) -> None:
    begun = time.process_time()
    capture = Capture(LONG, track=True)
    for _ in range(20_000):
        capture.feed(piece)
    capture.feed(b"\nrolldeck-pid=12 ")
    assert not capture.pid
    capture.feed(b"34\nout")
    assert (capture.pid, capture.started) == (12, 34)
    assert capture.stdout == piece.decode() * 20_000 + "\nout"
    assert time.process_time() - begun < CPU_SECONDS


@pytest.mark.parametrize("reply", ["a\n" * LONG, "\x1b" * 2 * LONG, "\n" * LONG + "x", "é" * LONG])
def test_a_reply_without_end_is_shown_in_short(reply: str) -> None:
    fields = {"node": "web1", "step": "install", "target": "web1", "command": "apt-get"}
    event = msgspec.convert({**fields, "reply": reply, "ok": True, "duration_s": 1.0}, events.CommandFinished)
    begun = time.process_time()
    lines = make_lines(Record(1, 1.0, event), 1)
    assert sum(len(line.text) for line in lines) <= 8 * MAX_REPLY
    assert any("the middle is left out" in line.text for line in lines)
    assert time.process_time() - begun < CPU_SECONDS


def test_of_a_long_log_the_last_lines_are_kept_in_their_order_and_none_is_long() -> None:
    text = "\n".join(["1", "2", "3", "", "4\r", " 5", "  ", "x" * 2000]) + "\n"
    found = last_lines(text)
    assert found[:-1] == ("2", "3", "4", " 5")
    assert found[-1] == shorten("x" * 2000, MAX_DETAIL_CHARS)
    assert last_lines("\n \n") == ()
