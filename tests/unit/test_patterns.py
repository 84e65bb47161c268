"""An operator's regular expression on a hostile text ends, and so does everything that uses one."""

import re
import threading
import time

import pytest

from backends.command import CommandResult
from backends.errors import UnreadableReply
from backends.health.http import HttpHealth, Page, judge, version_of
from backends.installers.versions import CommandVersion, FileVersion
from backends.untrusted import MAX_TEXT, search

SLOW = [
    (r"version.*([0-9.]+)", "version" * (MAX_TEXT // 7)),
    (r"version.*?([0-9.]+)", "version" * (MAX_TEXT // 7)),
    (r"(a+)+b", "a" * 60),
    (r"(a|a)*b", "a" * 60),
    (r"\s+(x)", " " * MAX_TEXT),
]
slow = pytest.mark.parametrize(("pattern", "text"), SLOW, ids=[pattern for pattern, _ in SLOW])
CPU_SECONDS = 10  # instead of minutes or for ever


@slow
def test_a_search_that_takes_too_long_is_given_up(pattern: str, text: str) -> None:
    begun = time.process_time()
    with pytest.raises(UnreadableReply, match="takes too long on what was said"):
        search(pattern, text)
    assert time.process_time() - begun < CPU_SECONDS


def test_what_is_too_long_is_not_searched() -> None:
    with pytest.raises(UnreadableReply, match="at most 65,536 characters, and there are 65,537"):
        search("x", "x" * (MAX_TEXT + 1))


def test_an_honest_search_is_that_of_re() -> None:
    found = search(r"^version: (\S+)$", "name: shop\nversion: 1.5.0\n", re.MULTILINE)
    assert found is not None
    assert found[1] == "1.5.0"
    assert search("x", "y") is None


def test_no_timer_is_left_behind() -> None:
    search("x", "y")
    begun = time.process_time()
    while time.process_time() - begun < 0.3:
        pass


def test_another_thread_can_search_too() -> None:
    found: list[re.Match[str] | None] = []
    thread = threading.Thread(target=lambda: found.append(search("(y)", "xyz")))
    thread.start()
    thread.join()
    assert found[0] is not None


@slow
def test_a_health_page_that_takes_too_long_is_not_healthy(pattern: str, text: str) -> None:
    settings = HttpHealth(url="http://x/", body=pattern)
    assert judge(settings, Page(200, text)).endswith("takes too long on what was said")
    page = Page(200, f"({text[: MAX_TEXT - 2]})")  # not only blanks
    with pytest.raises(UnreadableReply, match="takes too long"):
        version_of(HttpHealth(url="http://x/", version_pattern=pattern), page)


@slow
def test_an_installed_version_that_takes_too_long_is_not_known(pattern: str, text: str) -> None:
    said = CommandResult("web1", "shop --version", 0, text, "", 0.1)
    with pytest.raises(UnreadableReply, match=r"installed version: .* takes too long"):
        CommandVersion(run="shop --version", pattern=pattern).read(said)


def test_endless_words_about_a_missing_file_are_read_in_no_time() -> None:
    begun = time.process_time()
    result = CommandResult("web1", "head", 1, "", "head: " * 170_000, 0.1)
    with pytest.raises(UnreadableReply):
        FileVersion(path="/opt/shop/VERSION").read(result)
    assert time.process_time() - begun < CPU_SECONDS
