"""The sessions on several servers with ids and ages, from what 2.2, 2.6, 3.0 and 3.2 really said."""

import pytest

from backends.errors import PermissionDenied, Refused, UnreadableReply
from backends.haproxy import commands, session_list
from backends.haproxy.address import HaproxySettings
from backends.haproxy.session_list import parse_session_list
from backends.haproxy.stats_page import StatsPage
from backends.model import SessionList
from tests.unit.test_haproxy_sessions import VERSIONS, captured, line

WEB1 = {("shop", "web1")}


@pytest.mark.parametrize("version", VERSIONS)
def test_ids_and_ages_of_these_servers(version: str) -> None:
    found = parse_session_list("lb1", captured(version), WEB1)
    assert found.complete
    assert [(session.backend, session.server) for session in found.sessions] == [("shop", "web1")] * 2
    assert all(session.age is not None for session in found.sessions)
    assert commands.shutdown_listed([session.id for session in found.sessions]).count("shutdown session") == 2


def test_several_servers_and_ages() -> None:
    rows = [line("3s"), line("1d4h", server="web2"), line("?", backend="other"), line("2m5s", server="web9")]
    text = "\n".join(rows) + "\n\n"
    found = parse_session_list("lb1", text, {*WEB1, ("shop", "web2"), ("other", "web1")})
    assert [(session.server, session.age) for session in found.sessions] == [
        ("web1", 3),
        ("web2", 100_800),
        ("web1", None),
    ]
    assert parse_session_list("lb1", "\n", WEB1) == SessionList(())


def test_the_commands_select_as_much_as_haproxy_can() -> None:
    assert commands.listed_sessions([("shop", "web1")]) == "show sess server shop/web1"
    assert commands.listed_sessions([("shop", "web1"), ("shop", "web2")]) == "show sess backend shop"
    assert commands.listed_sessions([("shop", "web1"), ("api", "web1")]) == "show sess"
    assert commands.shutdown_listed(["0x1f", "0x2"]) == "shutdown session 0x1f; shutdown session 0x2"
    for wrong in ("1", "0x1; shutdown sessions server a/b", "0xg", ""):
        with pytest.raises(commands.UnsafeCommand):
            commands.shutdown_listed([wrong])


def test_what_is_cut_at_the_limit_counts_as_far_as_it_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_list, "MAX_LIST_BYTES", 600)
    found = parse_session_list("lb1", f"{line()}\n{line()}\n{line()[:100]}", WEB1)
    assert len(found.sessions) == 2
    assert not found.complete
    with pytest.raises(UnreadableReply, match="cut off"):
        parse_session_list("lb1", line()[:100], WEB1)


def test_refusals() -> None:
    with pytest.raises(PermissionDenied, match="needs level operator"):
        parse_session_list("lb1", "Permission denied\n\n", WEB1)
    with pytest.raises(Refused, match=r"No such backend\."):
        parse_session_list("lb1", "No such backend.\n\n", WEB1)


async def test_a_statistics_page_does_not_list_them() -> None:
    page = StatsPage("lb1", HaproxySettings(stats_url="http://127.0.0.1:1/stats"))
    with pytest.raises(PermissionDenied, match="does not list them"):
        await page.list_sessions(WEB1)
