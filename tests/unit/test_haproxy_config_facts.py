"""What preflight learns from HAProxy's configuration file, and why it could not."""

import os
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends import local_files
from backends.errors import PermissionDenied
from backends.haproxy.config_facts import MAX_BYTES, MAX_LINES, HaproxyFacts, read_facts, read_local
from backends.haproxy.config_file import ConfigFile, parse_config
from backends.model import Persistence
from tests.support.loop_time import watching_loop

PLAIN = """
global
    server-state-file /var/lib/haproxy/state
defaults
    load-server-state-from-file global
backend shop
    server web1 10.0.0.1:80 check
"""
CUTS = "on-marked-down shutdown-sessions"


def cuts(text: str) -> frozenset[str]:
    return parse_config(text).shutdown_on_marked_down


def test_a_state_file_is_in_effect() -> None:
    assert parse_config(PLAIN) == ConfigFile(state_file=True, shutdown_on_marked_down=frozenset())


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("server-state-file /var/lib/haproxy/state", "", False),
        ("load-server-state-from-file global", "", False),
        ("from-file global", "from-file local", True),
        ("from-file global", "from-file none", False),
        ("    load-server", "    # load-server", False),
        ("check\n", "check\nbackend api\n    load-server-state-from-file none\n    server a :1\n", False),
        ("check\n", "check\nbackend empty\n    load-server-state-from-file none\n", True),
        ("check\n", "check\ndefaults\nbackend api\n    server a 10.0.0.2:80\n", False),
        ("defaults\n", "defaults base\n", True),
        ("backend shop", "listen shop", True),
    ],
)
def test_when_a_state_file_is_in_effect(old: str, new: str, expected: bool) -> None:
    assert old in PLAIN
    assert parse_config(PLAIN.replace(old, new)).state_file is expected


def test_no_servers_is_no_state_file() -> None:
    assert not parse_config("").state_file


def test_sessions_are_cut_where_the_line_says_so_or_inherits_it() -> None:
    text = f"""
defaults cutting
    default-server inter 1s {CUTS}
defaults plain
backend one from cutting
    server a 10.0.0.1:80
backend two from plain
    server a 10.0.0.1:80
backend three
    server a 10.0.0.1:80 check {CUTS}
listen four
    default-server {CUTS}
    server-template a 3 10.0.0.1:80
backend five
    server a 10.0.0.1:80 check on-marked-down none
    # server b 10.0.0.1:80 {CUTS}
frontend six
    default_backend one
"""
    assert cuts(text) == {"one", "three", "four"}


def test_later_defaults_do_not_reach_back_and_start_empty() -> None:
    text = f"""
backend one
    server a 10.0.0.1:80
defaults
    default-server {CUTS}
backend two
    server a 10.0.0.1:80
defaults
backend three
    server a 10.0.0.1:80
"""
    assert cuts(text) == {"two"}


def test_quotes_and_odd_lines_do_not_stop_the_reading() -> None:
    text = f"""
backend one
    http-request set-header X "it's # not a comment
    acl odd path_reg ^/a\\ b'
    server a 10.0.0.1:80 {CUTS} # really
"""
    assert cuts(text) == {"one"}


@given(st.text())
def test_no_text_is_too_odd(text: str) -> None:
    assert isinstance(parse_config("defaults\n" + text), ConfigFile)


async def facts(
    config_file: str = "",
    reply: str = "",
    *,
    denied: bool = False,
    readable: bool = True,
    timeout_s: float = 60.0,
) -> HaproxyFacts:
    async def ask() -> str:
        if denied:
            raise PermissionDenied("lb1", "Permission denied")
        return reply

    return await read_facts(config_file, ask, read_local if readable else None, timeout_s)


async def test_files_are_found_by_the_setting_or_by_haproxy(tmp_path: Path) -> None:
    first, second = tmp_path / "a.cfg", tmp_path / "b.cfg"
    first.write_text("global\n    server-state-file /s\ndefaults\n load-server-state-from-file global")
    second.write_text(f"backend shop\n    server web1 10.0.0.1:80 {CUTS}\n")
    assert await facts(reply=f"HAPROXY_CFGFILES={first};{second}\n") == HaproxyFacts(
        state_file=True,
        shutdown_on_marked_down=frozenset({"shop"}),
        persistence={},
        hold_obsolete_s={},
        relative_ports=frozenset(),
        all_backups=frozenset(),
        consistent_hashes=frozenset(),
    )
    assert await facts(str(second)) == HaproxyFacts(
        state_file=False,
        shutdown_on_marked_down=frozenset({"shop"}),
        persistence={},
        hold_obsolete_s={},
        relative_ports=frozenset(),
        all_backups=frozenset(),
        consistent_hashes=frozenset(),
    )


@pytest.mark.parametrize(
    ("reply", "denied", "readable", "why"),
    [
        ("HAPROXY_CFGFILES=haproxy.cfg\n", False, True, "a relative path, haproxy.cfg"),
        ("Variable not found\n", False, True, "names no configuration file"),
        ("HAPROXY_CFGFILES=/no/such.cfg\n", False, True, "No such file"),
        ("HAPROXY_CFGFILES=/\n", False, True, "/: not a regular file"),
        ("HAPROXY_CFGFILES=/dev/zero\n", False, True, "/dev/zero: not a regular file"),
        ("HAPROXY_CFGFILES=/etc/a\0b\n", False, True, "a NUL byte in its path"),
        (f"HAPROXY_CFGFILES=/{'a' * 10_000_000}\n", False, True, "… (10,000,0"),
        ("HAPROXY_CFGFILES=" + "/etc/a.cfg;" * 300, False, True, "more than 256 configuration files"),
        ("", True, True, "Permission denied"),
        ("", False, False, "on a machine we cannot read"),
    ],
)
async def test_what_cannot_be_seen_says_why(reply: str, denied: bool, readable: bool, why: str) -> None:
    unseen = await facts(reply=reply, denied=denied, readable=readable)
    assert why in unseen.unseen
    assert unseen == HaproxyFacts(unseen=unseen.unseen)


async def test_a_pipe_does_not_hold_it_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    found = await facts(reply=f"HAPROXY_CFGFILES={tmp_path}/fifo\n")
    assert "fifo: not a regular file" in found.unseen


async def test_a_link_to_a_file_is_followed(tmp_path: Path) -> None:
    (tmp_path / "a.cfg").write_text(PLAIN)
    (tmp_path / "link.cfg").symlink_to(tmp_path / "a.cfg")
    assert (await facts(reply=f"HAPROXY_CFGFILES={tmp_path}/link.cfg\n")).state_file


async def test_a_file_system_that_hangs_does_not_hold_it_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    freed = threading.Event()

    def hang(path: str, most_bytes: int) -> bytes:
        freed.wait()
        return b""

    try:
        monkeypatch.setattr(local_files, "_read", hang)
        found = await facts(reply="HAPROXY_CFGFILES=/nfs/haproxy.cfg\n", timeout_s=0.1)
    finally:
        freed.set()
    assert found.unseen == "HAProxy's configuration file was not read within 0.1 s"


async def test_files_that_are_too_long_are_not_half_read(tmp_path: Path) -> None:
    with (tmp_path / "sparse.cfg").open("wb") as stream:
        stream.truncate(MAX_BYTES // 2)
    half = f"{tmp_path}/sparse.cfg"
    assert "longer than" in (await facts(reply=f"HAPROXY_CFGFILES={half};{half};{half}")).unseen
    (tmp_path / "lines.cfg").write_text("\n" * (MAX_LINES + 1))
    assert "more than 500,000 lines" in (await facts(f"{tmp_path}/lines.cfg")).unseen


async def test_100_000_lines_are_read_beside_the_loop(tmp_path: Path) -> None:
    servers = "\n".join(f"    server web{n} 10.0.0.1:{n} check # {CUTS}" for n in range(50_000))
    rules = "\n".join(
        f'    http-request set-header X-{n} "a \\"b" if {{ path_beg \'/x y\' }}' for n in range(50_000)
    )
    (tmp_path / "a.cfg").write_text(f"backend shop\n{servers}\n{rules}\n    server last :1 {CUTS}\n")
    async with watching_loop() as loop:
        found = await facts(reply=f"HAPROXY_CFGFILES={tmp_path}/a.cfg\n")
    assert found.shutdown_on_marked_down == frozenset({"shop"})
    assert loop.longest_s < 0.5


@pytest.mark.parametrize("text", ['"a\\"', "\\", " ", "a ", "a", "''", '\n"a"', "server 'a' "])
def test_the_time_for_a_text_is_in_proportion_to_its_length(text: str) -> None:
    begun = time.thread_time()
    parse_config("backend shop\nserver a :1" + text * (1_000_000 // len(text)))
    assert time.thread_time() - begun < 20  # a fraction of a second, or hours


# -- persistence ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "by", "in_maintenance"),
    [
        ("cookie SRV insert indirect nocache", ('cookie "SRV"',), ""),
        ("cookie SRV insert\noption persist", ('cookie "SRV"',), "option persist"),
        ("option persist\nno option persist\ncookie SRV insert", ('cookie "SRV"',), ""),
        ("stick-table type ip size 1m\nstick on src", ("stick table",), ""),
        ("stick match src\nforce-persist if { src 10.0.0.0/8 }", ("stick table",), "force-persist"),
        ("persist rdp-cookie\noption persist", ("RDP cookie",), "option persist"),
        ("persist rdp-cookie(msts)", ("RDP cookie",), ""),
        ("use-server a if { path_beg /a }\nstick on src", ("use-server", "stick table"), ""),
        ("stick store-request src", (), ""),
        ("option persist", (), ""),  # without anything that keeps clients it has no effect
        ("# cookie SRV insert", (), ""),
        ("option redispatch", (), ""),
    ],
)
def test_what_keeps_clients_on_their_servers(lines: str, by: tuple[str, ...], in_maintenance: str) -> None:
    found = parse_config(f"backend shop\n{lines}\nserver a 10.0.0.1:80\n").persistence
    assert found == ({"shop": Persistence(by, in_maintenance)} if by else {})


def test_persistence_is_inherited_from_defaults() -> None:
    text = (
        "defaults\ncookie SRV insert\noption persist\n"
        "backend one\nserver a 10.0.0.1:80\n"
        "backend two\nno option persist\nserver a 10.0.0.1:80\n"
        "defaults\nbackend three\nserver a 10.0.0.1:80\n"
    )
    cookie = ('cookie "SRV"',)
    assert parse_config(text).persistence == {
        "one": Persistence(cookie, "option persist"),
        "two": Persistence(cookie),
    }


# -- backup servers ------------------------------------------------------------------------------


def test_hashes_are_consistent_where_the_option_is_set_or_inherited() -> None:
    text = """
        defaults
            hash-type consistent
        backend one
            server web1 10.0.0.1:80
        backend two
            hash-type map-based
            server web1 10.0.0.1:80
        """
    assert parse_config(text).consistent_hashes == {"one"}


def test_all_backups_serve_where_the_option_is_set_or_inherited() -> None:
    text = (
        "backend plain\nserver a 10.0.0.1:80 backup\n"
        "backend one\noption allbackups\nserver a 10.0.0.1:80 backup\n"
        "defaults\noption allbackups\n"
        "backend two\nserver a 10.0.0.1:80 backup\n"
        "listen three\nno option allbackups\nserver a 10.0.0.1:80 backup\n"
        "backend four # without servers\n"
    )
    assert parse_config(text).all_backups == {"one", "two"}


# -- slots that name resolution fills ------------------------------------------------------------


# -- relative ports ------------------------------------------------------------------------------
