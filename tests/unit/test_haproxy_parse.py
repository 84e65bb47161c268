"""Parsers against what 2.2, 2.6, 3.0 and 3.2 really said (see tests/capture_haproxy.py)."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.errors import PermissionDenied, Refused, UnreadableReply
from backends.haproxy import parse
from backends.haproxy.fast_parse import fast_join
from backends.haproxy.join import join
from backends.haproxy.transport import WriteReply
from backends.model import (
    Admin,
    AdminState,
    Backend,
    Level,
    Load,
    Operational,
    RequestCounters,
    Server,
    ServerRef,
)

CAPTURED = Path(__file__).parent / "captured"
VERSIONS = sorted({path.name.split("-")[0] for path in CAPTURED.glob("*-admin.txt")})
FOUR = 4  # replies: info, level, servers state, stat


def captured(version: str, kind: str = "admin") -> str:
    return (CAPTURED / f"{version}-{kind}.txt").read_text()


def tables(version: str, kind: str = "admin") -> tuple[str, str]:
    _, _, state, stat = parse.split_replies("lb1", captured(version, kind), FOUR)
    return state, stat


def read(state: str, stat: str) -> tuple[tuple[Backend, ...], tuple[Server, ...]]:
    return join("lb1", parse.parse_stat("lb1", stat), parse.parse_servers_state("lb1", state))


def servers(version: str, kind: str = "admin") -> dict[str, Server]:
    return {server.ref.server: server for server in read(*tables(version, kind))[1]}


pytestmark = pytest.mark.parametrize("version", VERSIONS)


def test_info_and_level(version: str) -> None:
    info, level, _, _ = parse.split_replies("lb1", captured(version), FOUR)
    parsed = parse.parse_info("lb1", info)
    assert parsed.version.startswith(version)
    assert parsed.pid > 1
    assert not parsed.stopping
    assert parse.parse_level("lb1", level) is Level.ADMIN
    assert parse.parse_level("lb1", captured(version, "user").split("\n\n")[1]) is Level.USER


def test_backends(version: str) -> None:
    found = read(*tables(version))[0]
    assert [server.counters.http for server in found] == [True, False, True]
    assert tuple(replace(server, counters=RequestCounters()) for server in found) == (
        Backend("shop", "http", "roundrobin", "SRV"),
        Backend("tcp", "tcp", "static-rr", ""),
        Backend("empty", "http", "roundrobin", ""),
    )


def test_a_server_in_full(version: str) -> None:
    up = servers(version)["up"]
    assert up.check_duration is not None
    assert replace(up, last_change=0, check_duration=0) == Server(
        ref=ServerRef("lb1", "shop", "up"),
        address="127.0.0.1",
        port=8080,
        admin=Admin.NONE,
        operational=Operational.RUNNING,
        status="UP",
        weight=50,
        initial_weight=50,
        effective_weight=50,
        has_checks=True,
        check_status="L7OK",
        check_health=4,
        check_rise=3,
        check_fall=2,
        check_code="200",
        check_duration=0,
        check_failures=0,
        last_check="Layer7 check passed",
        agent=False,
        agent_configured=False,
        agent_status="",
        last_agent="",
        track_target="",
        backup=False,
        cookie="up",
        sessions=0,
        queue=0,
        throttle=None,
        last_change=0,
        counters=RequestCounters(),
        response_time=None,
    )
    assert up.checks_passed
    assert up.in_rotation


# name: status, administrative state, checked by HAProxy, proven, in rotation
STATES = {
    "up": ("UP", AdminState.READY, True, True, True),
    "half": ("UP 1/3", AdminState.READY, True, False, False),
    "drained": ("DRAIN", AdminState.DRAIN, True, True, False),
    "maint": ("MAINT", AdminState.MAINT, True, False, False),
    "disabled": ("MAINT", AdminState.MAINT, True, False, False),
    "zero": ("UP", AdminState.READY, True, True, False),
    "unchecked": ("no check", AdminState.READY, False, False, True),
    "follower": ("MAINT (via shop/maint)", AdminState.MAINT, False, False, False),
    "agent": ("UP", AdminState.READY, True, True, True),
    "agent-only": ("no check", AdminState.READY, False, False, True),
    "dead": ("DOWN", AdminState.READY, True, False, False),
    "dead.drained": ("DOWN", AdminState.DRAIN, True, False, False),
    "ramp": ("UP 1/2", AdminState.READY, True, False, False),
    "BACKEND": ("UP", AdminState.READY, True, True, True),
    "unresolved": ("MAINT (resolution)", AdminState.MAINT, True, False, False),
    "unhealthy": ("no check", AdminState.READY, False, False, True),
}


def test_states(version: str) -> None:
    found = servers(version)
    assert {
        name: (
            found[name].status,
            found[name].admin_state,
            found[name].has_checks,
            found[name].checks_passed,
            found[name].in_rotation,
        )
        for name in STATES
    } == STATES


def test_what_only_some_servers_have(version: str) -> None:
    found = servers(version)
    assert [name for name, server in found.items() if server.agent] == ["agent", "agent-only"]
    assert [name for name, server in found.items() if server.agent_configured] == [
        "agent",
        "silenced",
        "agent-only",
    ]
    assert {name: s.track_target for name, s in found.items() if s.track_target} == {"follower": "shop/maint"}
    assert [name for name, server in found.items() if server.backup] == ["BACKEND"]
    assert {name: s.cookie for name, s in found.items() if s.cookie} == {
        "up": "up",
        "drained": "dr",
    }
    assert found["readied"].admin is Admin.CONFIG_MAINT
    assert found["readied"].admin_state is AdminState.READY
    assert (found["zero"].weight, found["zero"].initial_weight) == (0, 20)
    assert (found["six"].address, found["six"].port) == ("::1", 8080)
    assert (found["file"].address, found["file"].port) == ("", 0)
    assert (found["unresolved"].address, found["unresolved"].port) == ("", 80)
    assert found["dead"].last_check == "Connection refused"
    ramp = found["ramp"]
    assert ramp.throttle is not None
    assert ramp.effective_weight < ramp.weight == 100


def test_level_user_hides_cookies_and_the_algorithm_but_not_addresses(version: str) -> None:
    backends, found = read(*tables(version, "user"))
    assert (backends[0].name, backends[0].algorithm, backends[0].cookie) == ("shop", "", "")
    assert all(server.cookie == "" for server in found)
    assert found[0].address == "127.0.0.1"


def test_servers_of_another_backend_of_haproxy_itself_are_not_ours(version: str) -> None:
    state, stat = tables(version)
    row = state.split("\n")[2].split(" ")
    master = " ".join(["0", "MASTER", "1", "cur-1", *row[4:]])
    assert read(state + "\n" + master, stat) == read(state, stat)


@pytest.mark.parametrize("which", [0, 1])
def test_a_server_that_only_one_reply_knows_is_not_dropped_in_silence(version: str, which: int) -> None:
    both = list(tables(version))
    lines = both[which].split("\n")
    both[which] = "\n".join(line for line in lines if " drained " not in line and ",drained," not in line)
    with pytest.raises(UnreadableReply, match="changed while it was read: drained"):
        read(*both)


def test_quoted_fields(version: str) -> None:
    state, stat = tables(version)
    odd = stat.replace("Connection refused", '"say ""no"", [31m\nor"')
    assert {s.last_check for s in read(state, odd)[1] if s.status == "DOWN"} == {'say "no", [31m\nor'}


def test_a_reply_that_is_cut_anywhere_is_known(version: str) -> None:
    text = captured(version)
    for length in range(0, len(text), 7):
        with pytest.raises(UnreadableReply):
            parse.split_replies("lb1", text[:length], FOUR)
    assert len(parse.split_replies("lb1", text, FOUR)) == FOUR


@pytest.mark.parametrize(
    ("column", "value"), [("iid", "x"), ("scur", "1.5"), ("weight", "many"), ("check_health", "?")]
)
def test_a_field_that_is_no_number_is_not_measured(version: str, column: str, value: str) -> None:
    state, stat = tables(version)
    header, first, *rest = stat.split("\n")
    cells = first.split(",")
    cells[header[2:].split(",").index(column)] = value
    with pytest.raises(UnreadableReply):
        read(state, "\n".join([header, ",".join(cells), *rest]))


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("Permission denied", PermissionDenied),
        ("Can't find backend.", Refused),
        ("No such proxy.", Refused),
    ],
)
def test_refusals_of_reads_keep_haproxys_words(version: str, words: str, error: type[Refused]) -> None:
    info = captured(version).split("\n\n")[0]
    with pytest.raises(error, match=words):
        parse.split_replies("lb1", f"{info}\n\nadmin\n\n{words}\n\n{words}\n\n", FOUR)


PARSERS: list[Callable[[str], object]] = [
    lambda text: parse.split_replies("lb1", text, FOUR),
    lambda text: parse.parse_info("lb1", text),
    lambda text: parse.parse_level("lb1", text),
    lambda text: read(text, text),
]


@given(
    text=st.text(alphabet='# 1,\n"pxname=:é\x00'), parser=st.sampled_from(PARSERS), keep=st.integers(0, 400)
)
def test_no_text_is_anything_but_understood_or_not_measured(
    version: str, text: str, parser: Callable[[str], object], keep: int
) -> None:
    """Also one that follows the beginning of a real reply, or the whole of it."""
    real = captured(version)
    for begin in ("", real[:keep], real, *real.split("\n\n")[:2]):
        try:
            result = parser(begin + text)
        except (UnreadableReply, Refused):
            continue
        assert result is not None


@given(data=st.data())
def test_no_damage_to_a_reply_is_anything_but_understood_or_not_measured(
    version: str, data: st.DataObject
) -> None:
    replies = tables(version)
    which = data.draw(st.integers(0, 1))
    text = replies[which]
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(start + 40, len(text))))
    damaged = text[:start] + data.draw(st.text(max_size=5)) + text[end:]
    try:
        backends, found = read(*(damaged if index == which else replies[index] for index in (0, 1)))
    except UnreadableReply:
        return
    assert len(backends) <= 40
    assert len({(server.ref, server.port) for server in found}) <= 40


def test_answers_to_writes(version: str) -> None:
    parsed = WriteReply.parse("\n\n[3]: No such server.\n\n\n")
    assert parsed == WriteReply(("", "", "No such server.", ""), complete=True)
    assert parsed.words == "No such server."
    assert WriteReply.parse("\n[3]: No") == WriteReply(("", "No"), complete=False)
    assert WriteReply.parse("") == WriteReply((), complete=True)


def test_the_load_of_a_server_and_the_queue_of_its_backend(version: str) -> None:
    state, stat = tables(version)
    header = stat.split("\n", 1)[0].removeprefix("# ").split(",")
    changes = {
        "up": {"rate": "38", "rate_max": "66", "smax": "12", "slim": "32"},
        "BACKEND": {"qcur": "7"},
    }
    lines = []
    for line in stat.split("\n"):
        cells = line.split(",")
        if cells[0] == "shop":
            for column, value in changes.get(cells[1], {}).items():
                cells[header.index(column)] = value
        lines.append(",".join(cells))
    changed = "\n".join(lines)
    backends, found = read(state, changed)
    quick = fast_join("lb1", [changed], [state])
    assert quick is not None or version == "2.2"  # which has a backend of its own, MASTER
    for some_backends, some_servers in ((backends, found), quick or (backends, found)):
        by_name = {server.ref.server: server.load for server in some_servers}
        assert by_name["up"] == Load(rate=38, rate_max=66, sessions_max=12, session_limit=32)
        assert by_name["half"] == Load()
        assert [backend.queue for backend in some_backends if backend.name == "shop"] == [7]
    with pytest.raises(UnreadableReply, match="many"):
        read(state, changed.replace(",38,", ",many,"))
    assert fast_join("lb1", [changed.replace(",38,", ",many,")], [state]) is None
