"""Values that go into commands, paths and URLs: quoted, or refused."""

import shlex
from urllib.parse import unquote

from hypothesis import example
from hypothesis import strategies as st

from backends.templates import check_value, check_version, check_words, fill, fill_plain, fill_url
from tests.fuzz.harness import bounded, fuzzed
from tests.fuzz.texts import anything, text

template = st.lists(
    st.one_of(
        text, st.sampled_from(["{node}", "{version}", "{port}", "{x}", "${HOME}", "{{.State}}", "'{node}'"])
    ),
    max_size=6,
).map(" ".join)


@fuzzed(template=template, value=anything)
def test_any_template_with_any_value(template: str, value: str) -> None:
    values = {"node": value, "version": value}
    size = len(template) + len(value) * 6
    for way in (fill, fill_plain, fill_url):
        bounded(lambda way=way: way(template, values), size)  # type: ignore[misc]


@fuzzed(value=text)
def test_a_value_is_one_word_of_a_shell(value: str) -> None:
    if "\0" not in value:  # no argument of any process may have one
        assert shlex.split(fill("run --name {node} --last", {"node": value})) == [
            "run",
            "--name",
            value,
            "--last",
        ]
    assert unquote(fill_url("http://a/{node}", {"node": value})) == f"http://a/{value}"


@fuzzed(value=anything)
@example(value="0" * 300_000)
def test_what_may_enter(value: str) -> None:
    """What is let in is inert: it is the same word with quotes, in quotes and without."""
    for check in (check_version, lambda value: check_value("node", value)):
        found = bounded(lambda check=check: check(value), len(value))  # type: ignore[misc]
        if found is not None:
            assert found == value
            assert not value.startswith("-")
            assert shlex.split(f"{value} '{value}' \"{value}\"", comments=True) == [value] * 3
            assert not set(value) & set("$`\\!*?[]{}()<>|&;#'\" \t\r\n\0")
    bounded(lambda: check_words("maintenance", value), len(value), ValueError)
