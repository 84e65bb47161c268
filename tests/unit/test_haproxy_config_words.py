"""HAProxy's own rules for quotes and backslashes; test_haproxy_facts has real ones read the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.haproxy.config_file import MAX_LINE_CHARS, ConfigFile, parse_config, read_lines, split_line
from tests.support.haproxy_words import WORDS


@pytest.mark.parametrize(("written", "read"), WORDS)
def test_a_word_is_read_as_haproxy_reads_it(written: str, read: str) -> None:
    assert split_line(f"setenv NAME {written}") == ["setenv", "NAME", read]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", []),
        ("   # server web1 10.0.0.1", []),
        ("\tserver\x0bweb1\x0c10.0.0.1  ", ["server", "web1", "10.0.0.1"]),
        ("server web\xa01", ["server", "web\xa01"]),
        ('server "" b', ["server", "", "b"]),
        ('server "open quote', ["server", '"open', "quote"]),
        (r"server a\xzz", ["server", r"a\xzz"]),
        ("server web1\r ignored", ["server", "web1"]),
    ],
)
def test_a_line_is_split_into_words(line: str, words: list[str]) -> None:
    assert split_line(line) == words


def test_a_keyword_may_be_quoted_or_escaped() -> None:
    text = "backend shop\n 'server' a :1\n ser\"ver\" b :1\n\\x73erver c :1\nserver' d :1\nservers e :1"
    found = list(read_lines(text, ("backend", "server")))
    assert [words[1] for words in found] == ["shop", "a", "b", "c"]


def test_a_line_without_end_is_read_up_to_a_limit_and_what_follows_it_is_read() -> None:
    long = f"server a {'x ' * MAX_LINE_CHARS}" * 3
    found = list(read_lines(f"{long}\nserver b :1\n", ("server",)))
    assert [words[1] for words in found] == ["a", "b"]


@given(st.lists(st.text(alphabet="server \t\"'\\#x41\r\v"), max_size=40), st.integers(1, 50))
def test_all_lines_are_seen_however_the_text_is_divided(lines: list[str], repeat: int) -> None:
    text = "\n".join(lines * repeat)
    expected = [words for line in text.split("\n") if (words := split_line(line)) and words[0] == "server"]
    assert list(read_lines(text, ("server",))) == expected


@given(st.text(alphabet=" \t\n\r\"'\\#xserver"))
def test_no_text_is_too_odd(text: str) -> None:
    assert isinstance(parse_config(f"backend shop\n{text}"), ConfigFile)
