"""What preflight learns from HAProxy's configuration file, and why it could not."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.errors import PermissionDenied
from backends.haproxy.config_file import ConfigFile, parse_config
from backends.haproxy.facts import HaproxyFacts, read_facts, read_local

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
    config_file: str = "", reply: str = "", *, denied: bool = False, readable: bool = True
) -> HaproxyFacts:
    async def ask() -> str:
        if denied:
            raise PermissionDenied("lb1", "Permission denied")
        return reply

    return await read_facts(config_file, ask, read_local if readable else None)


async def test_files_are_found_by_the_setting_or_by_haproxy(tmp_path: Path) -> None:
    first, second = tmp_path / "a.cfg", tmp_path / "b.cfg"
    first.write_text("global\n    server-state-file /s\ndefaults\n load-server-state-from-file global")
    second.write_text(f"backend shop\n    server web1 10.0.0.1:80 {CUTS}\n")
    assert await facts(reply=f"HAPROXY_CFGFILES={first};{second}\n") == HaproxyFacts(
        state_file=True, shutdown_on_marked_down=frozenset({"shop"})
    )
    assert await facts(str(second)) == HaproxyFacts(
        state_file=False, shutdown_on_marked_down=frozenset({"shop"})
    )


@pytest.mark.parametrize(
    ("reply", "denied", "readable", "why"),
    [
        ("HAPROXY_CFGFILES=haproxy.cfg\n", False, True, "a relative path, haproxy.cfg"),
        ("Variable not found\n", False, True, "names no configuration file"),
        ("HAPROXY_CFGFILES=/no/such.cfg\n", False, True, "No such file"),
        ("HAPROXY_CFGFILES=/\n", False, True, "Is a directory"),
        ("", True, True, "Permission denied"),
        ("", False, False, "on a machine we cannot read"),
    ],
)
async def test_what_cannot_be_seen_says_why(reply: str, denied: bool, readable: bool, why: str) -> None:
    unseen = await facts(reply=reply, denied=denied, readable=readable)
    assert why in unseen.unseen
    assert unseen == HaproxyFacts(unseen=unseen.unseen)
