"""Sessions on one server, from what 2.2, 2.6, 3.0 and 3.2 really said (see tests/capture_haproxy.py)."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.errors import PermissionDenied, Refused, UnreadableReply
from backends.haproxy import commands
from backends.haproxy.address import HaproxySettings
from backends.haproxy.sessions import is_complete, parse_sessions
from backends.haproxy.stats_page import StatsPage
from backends.model import ServerRef, Sessions

CAPTURED = Path(__file__).parent / "captured"
VERSIONS = sorted({path.name.split("-")[0] for path in CAPTURED.glob("*-sessions.txt")})
WEB1 = ServerRef("lb1", "shop", "web1")


def captured(version: str) -> str:
    return (CAPTURED / f"{version}-sessions.txt").read_text()


def line(age: str = "3s", backend: str = "shop", server: str = "web1", client: str = "10.0.0.1:5") -> str:
    return (
        f"0x55a3: proto=tcpv4 src={client} fe=www be={backend} srv={server} ts=00 epoch=0 age={age} calls=3"
        " rate=0 cpu=0 lat=0 rq[f=1h,i=0,an=8000h,ax=] rp[f=8h,i=0,an=14h,ax=]"
        " scf=[8,482h,fd=20,rex=,wex=] scb=[8,1411h,fd=22,rex=7s,wex=1m2s] exp=7s rc=0 c_exp="
    )


def test_the_command_is_one_that_old_versions_take_too() -> None:
    assert commands.sessions(WEB1) == "show sess server shop/web1"
    with pytest.raises(commands.UnsafeCommand):
        commands.sessions(ServerRef("lb1", "shop", "web1; shutdown session 0x1"))


@pytest.mark.parametrize("version", VERSIONS)
def test_only_those_of_this_server_oldest_first(version: str) -> None:
    assert VERSIONS == ["2.2", "2.6", "3.0", "3.2"]
    found = parse_sessions(WEB1, captured(version), 50)
    assert found.total == 2
    old, young = found.oldest
    assert old.client.startswith("127.0.0.1:")
    assert young.client == "unix:2"
    assert (old.frontend, young.frontend) == ("web", "web")
    assert old.age is not None
    assert young.age is not None
    assert old.age > young.age >= 1
    assert {old.ref, young.ref} == {WEB1}
    assert old.silence_left is not None
    assert 0 <= old.silence_left <= 10  # of a `timeout server` of 10 s


@pytest.mark.parametrize("version", [version for version in VERSIONS if version != "3.2"])
def test_others_in_the_same_reply(version: str) -> None:
    text = captured(version)
    assert parse_sessions(ServerRef("lb1", "other", "web1"), text, 50).total == 1
    clients = [client.client for client in parse_sessions(ServerRef("lb1", "tcp", "t1"), text, 50).oldest]
    assert len(clients) == 2
    assert clients[1].startswith("::1:")
    assert parse_sessions(ServerRef("lb1", "shop", "web"), text, 50) == Sessions(0, ())


@pytest.mark.parametrize("version", VERSIONS)
def test_a_reply_that_is_cut_anywhere_is_known(version: str) -> None:
    text = captured(version)
    for length in range(0, len(text), 7):
        with pytest.raises(UnreadableReply):
            parse_sessions(WEB1, text[:length], 50)
        assert not is_complete(text[:length].encode())
    assert is_complete(text.encode())


def test_without_any_3_2_says_nothing() -> None:
    assert parse_sessions(WEB1, "\n", 50) == Sessions(0, ())
    assert is_complete(b"\n")


@pytest.mark.parametrize(
    ("age", "seconds"),
    [("0s", 0), ("59s", 59), ("2m5s", 125), ("1m", 60), ("3h2m", 10920), ("2d3h", 183600), ("?", None)],
)
def test_ages(age: str, seconds: int | None) -> None:
    (found,) = parse_sessions(WEB1, line(age) + "\n\n", 50).oldest
    assert found.age == seconds
    assert found.silence_left == 7


def test_thousands_are_counted_and_the_oldest_returned() -> None:
    ages = [*range(5000), 9999, 7777]
    text = "\n".join(line(f"{age}s") for age in ages) + "\n" + line("?") + "\n\n"
    found = parse_sessions(WEB1, text, 3)
    assert found.total == 5003
    assert [client.age for client in found.oldest] == [9999, 7777, 4999]


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("Permission denied\n\n", PermissionDenied),
        ("No such backend.\n\n", Refused),
        ("No such server.\n\n", Refused),
        ("0x1: something be=shop srv=web1 else\n\n", UnreadableReply),
    ],
)
def test_what_is_no_list_keeps_haproxys_words(words: str, error: type[Exception]) -> None:
    with pytest.raises(error, match=words.strip()[:15]):
        parse_sessions(WEB1, words, 50)


async def test_the_statistics_page_refuses() -> None:
    page = StatsPage("lb1", HaproxySettings(stats_url="http://127.0.0.1:1/stats"))
    with pytest.raises(PermissionDenied, match="does not list them"):
        await page.sessions("shop", "web1", 50)


@given(st.text(max_size=30), st.integers(0, 250), st.integers(0, 40))
def test_no_damage_is_anything_but_understood_or_not_measured(damage: str, at: int, cut: int) -> None:
    text = line()
    damaged = text[:at] + damage + text[at + cut :] + "\n\n"
    try:
        found = parse_sessions(WEB1, damaged, 50)
    except (UnreadableReply, Refused):
        return
    assert found.total <= 1 + damage.count("\n")
