"""Texts from outside on a terminal: harmless, aligned, and cut to size."""

import json
import os
import sys
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from console.terminal import output
from console.terminal.background_writer import write_in_background
from console.terminal.output import clean, pad, paint, shorten, table, width
from orchestrator.events.json import SCHEMA
from tests.support.console_values import HIDDEN, HOSTILE, anything, harmless

unhurried = settings(deadline=None)


@unhurried
@given(anything)
def test_clean_text_is_harmless_and_stays_so(said: str) -> None:
    assert harmless(clean(said))
    assert clean(clean(said)) == clean(said)


@given(st.text(st.characters(categories=["L", "N", "P", "S"], exclude_characters=f"\\{HIDDEN}")))
def test_what_is_harmless_already_is_not_changed(said: str) -> None:
    assert clean(said) == said


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("\x1b[31mred", "\\x1b[31mred"),
        ("\x9b2J", "\\x9b2J"),
        ("user\u202egnp", "user\\u202egnp"),
        ("zero\u200bwidth", "zero\\u200bwidth"),
        ("\ud800", "\\ud800"),
        ("web1\u2066\u2069\u200f", "web1\\u2066\\u2069\\u200f"),
        ("\ufeffweb1\u2028\u2029", "\\ufeffweb1\\u2028\\u2029"),
        ("web1\U000e0041\U000e007f", "web1\\U000e0041\\U000e007f"),
        ("web1\ufe0f\U000e0100", "web1\\ufe0f\\U000e0100"),  # variation selectors: "web1" is another name
        ("web1\u3164\u115f\u2800\u034f", "web1\\u3164\\u115f\\u2800\\u034f"),
        ("a\tb\nc\rd", "a b c d"),
        ("[red]", "[red]"),
        ("日本語", "日本語"),
    ],
)
def test_what_is_not_is_shown_by_its_number(said: str, shown: str) -> None:
    assert clean(said) == shown


@pytest.mark.parametrize(
    ("said", "columns"),
    [("", 0), ("web1", 4), ("日本語", 6), ("e\u0301", 1), ("\u0e01\u0e31", 1), ("a\u20dd", 1), ("\uff57", 2)],
)
def test_columns_are_what_a_terminal_takes(said: str, columns: int) -> None:
    assert width(said) == columns


@unhurried
@given(anything, st.integers(-2, 40))
def test_shortened_text_fits(said: str, columns: int) -> None:
    whole = clean(said)
    short = shorten(whole, columns)
    assert width(short) <= max(columns, 0)
    assert short == whole if width(whole) <= columns else short == "" or short.endswith("…")
    assert whole.startswith(short.removesuffix("…"))


@given(st.text(st.characters(categories=["L"]), max_size=20), st.integers(0, 30))
def test_padding_fills_up_and_never_cuts(said: str, columns: int) -> None:
    assert width(pad(said, columns)) == width(pad(said, columns, right=True)) == max(columns, width(said))
    assert pad(said, columns).startswith(said)
    assert pad(said, columns, right=True).endswith(said)


@unhurried
@given(st.lists(st.tuples(anything, anything, st.integers(0, 10**6).map(str)), max_size=5))
def test_columns_of_a_table_stay_aligned_whatever_is_in_them(rows: list[tuple[str, str, str]]) -> None:
    lines = table(("NODE", "SAID", "Q"), rows, right=("Q",))
    assert len(lines) == len(rows) + 1
    assert all(harmless(line) for line in lines)
    # The last column is right-aligned, so that all lines end at the same place.
    assert len({width(line) for line in lines}) == 1


def test_the_last_column_is_not_filled_with_blanks() -> None:
    assert table(("A", "B"), [("1", "long"), ("22", "x")]) == ["A   B", "1   long", "22  x"]


def test_paint_colors_by_meaning_and_leaves_the_rest_alone() -> None:
    assert paint("x", "bad") == "\x1b[31mx\x1b[0m"
    assert paint("x", "info") == paint("x", "no such kind") == "x"


def test_color_only_where_somebody_looks(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    output.result(paint("1", "ok"))
    output.say(paint("2", "ok"))
    assert capsys.readouterr() == ("1\n", "2\n")
    for stream in (sys.stdout, sys.stderr):
        monkeypatch.setattr(stream, "isatty", lambda: True, raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    output.result(paint("1", "ok"))
    output.say(paint("2", "ok"))
    assert capsys.readouterr() == ("\x1b[32m1\x1b[0m\n", "\x1b[32m2\x1b[0m\n")
    monkeypatch.setenv("NO_COLOR", "1")
    output.result(paint("1", "ok"))
    output.say(paint("2", "ok"))
    assert capsys.readouterr() == ("1\n", "2\n")


def test_a_stream_that_was_closed_at_the_start_is_no_terminal() -> None:
    assert not output.on_terminal(None)


def test_what_nobody_cleaned_is_harmless_all_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    output.result(f"{paint('1', 'ok')} \x1b]0;title\x07\x1b[2J{HIDDEN}\nnext")
    shown = capsys.readouterr().out
    assert all(harmless(line) for line in shown.splitlines())
    assert shown.startswith("1 \\x1b]0;title\\x07\\x1b[2J\\xad")
    assert shown.endswith("\nnext\n")


@pytest.mark.parametrize("said", [text for text in HOSTILE if "\ud800" not in text] + ["\x7f", "\U000e0041"])
def test_a_line_of_json_is_harmless_and_says_the_same(said: str, capsys: pytest.CaptureFixture[str]) -> None:
    output.result_json({"said": said})
    line = capsys.readouterr().out.removesuffix("\n")
    assert harmless(line)
    assert json.loads(line) == {"schema": SCHEMA, "said": said}


def test_a_terminal_that_is_stopped_stops_nobody_who_writes_in_the_background(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, True)
    line = "x" * 1000
    with os.fdopen(writing, "w") as stream, monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", stream)
        with write_in_background():
            for _ in range(1000):  # far more than a pipe holds: the last ones would block
                output.result(line)
            seen: list[bytes] = []
            reader = threading.Thread(target=lambda: seen.append(_read_all(reading)))
            reader.start()
        stream.close()
        reader.join()
    assert seen[0].decode().splitlines() == [line] * 1000


def _read_all(reading: int) -> bytes:
    with os.fdopen(reading, "rb") as stream:
        return stream.read()
