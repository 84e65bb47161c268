"""The detail page of a node: it is aligned and complete, and old data never look live."""

from dataclasses import replace
from typing import Any

import pytest
from rich.cells import cell_len

from backends.model import Admin, Operational, ServerRef
from orchestrator.journal.node_entries import NodeEntry
from orchestrator.live.node_checks import NodeCheck
from orchestrator.live.poller import FleetView, PolledSessions
from tests.console.detail_values import (
    NOW,
    WEB1,
    detail,
    instance,
    kind_of,
    lines,
    read,
    stream,
)
from tests.support.console_values import HOSTILE, harmless, server
from widgets.detail.page import as_text, build_page, build_title
from widgets.detail.tabs import TABS
from widgets.table.cell_text import NO_VALUE
from widgets.transcript import Line

LB1, LB2 = ServerRef("lb1", *WEB1), ServerRef("lb2", *WEB1)


def test_load_balancers_side_by_side_with_numbers_below_each_other() -> None:
    found = lines(detail(), 79)  # as on a screen of 80, with its scroll bar
    assert found[0] == " shop       lb1 ● live  2.6.12               lb2 ● live  2.6.12"
    assert found[1] == " rotation   ✓ in rotation                    ✓ in rotation"
    assert "       2 in flight, 0 queued" in found[6]
    assert found[7].startswith(" requests       143 /s, 0.0 % errors")
    assert found[8].startswith(" response         8 ms")
    second = found[0].index("lb2")
    assert found[1].rindex("✓") == found[2].rindex("ready") == found[3].rindex("▲") == second


@pytest.mark.parametrize(("width", "groups"), [(80, 3), (120, 2), (200, 1)])
def test_what_does_not_fit_side_by_side_stands_below(width: int, groups: int) -> None:
    names = [f"lb{n}" for n in range(1, 7)]
    found = lines(detail(*map(instance, names)), width)
    titles = [line for line in found if "● live" in line]
    assert len(titles) == groups
    assert " ".join(titles).count("● live") == 6
    for name in names:
        assert any(name in line for line in titles)


@pytest.mark.parametrize("width", [30, 60, 80, 120, 200])
def test_no_line_is_wider_than_the_screen_but_for_the_narrowest(width: int) -> None:
    shown = detail(in_flight={LB1: read(stream(3)), LB2: PolledSessions(failing="no answer " * 30)})
    widest = max(cell_len(line) for line in lines(shown, width))
    assert widest <= max(width, 80)


def test_a_stale_one_says_so_with_its_age_and_is_quiet() -> None:
    shown = detail(
        instance("lb1"),
        instance("lb2", state="stale", failing="connection refused", read_at=NOW - 12),
        in_flight={LB2: read(stream(30, "lb2"), at=NOW - 12)},
    )
    found = lines(shown)
    assert found[0] == " lb2: connection refused; this is 12 s old"
    assert "lb2 ✗ stale 12 s" in "\n".join(found)
    assert kind_of(shown, "stale 12 s") == "bad"
    rotation = next(
        line for line in build_page(shown, 80).lines if line and line[0][0].startswith(" rotation")
    )
    assert [kind for text, kind in rotation if "in rotation" in text] == ["ok", "quiet"]
    assert "on lb1, lb2 (stale): no administrative" in "\n".join(found)
    assert "1 on lb2, 12 s old" in "\n".join(found)


def test_one_that_never_answered_or_has_no_such_server() -> None:
    never = instance("lb2", state="connecting", read_at=None, info=None, failing="refused")
    never = replace(never, servers=(), rates=type(never.rates)())
    other = instance("lb3", server("web9", "lb3"))
    found = "\n".join(lines(detail(instance(), never, other), 120))
    assert "◌ connecting" in found
    assert "no answer yet" in found
    assert "unknown here" in found
    assert "on lb1: no administrative hold" in found


def test_owners_that_are_the_same_stand_together() -> None:
    out: dict[str, Any] = {"admin": Admin.FORCED_MAINT, "operational": Operational.STOPPED, "status": "MAINT"}
    both = [instance(name, server("web1", name, **out)) for name in ("lb1", "lb2")]
    shown = detail(*both)
    assert sum("maintenance by an operator" in line for line in lines(shown)) == 1
    assert "owner      on all: maintenance by an operator at run time" in "\n".join(lines(shown))
    assert kind_of(shown, "maintenance by an operator") == "out"
    differ = detail(both[0], instance("lb2"))
    found = "\n".join(lines(differ))
    assert "on lb1: maintenance by an operator" in found
    assert "on lb2: no administrative hold" in found


def test_sessions_of_all_load_balancers_oldest_first() -> None:
    streams = {LB1: read(stream(3), stream(1)), LB2: read(stream(62, "lb2"), stream(None, "lb2"), total=1234)}
    found = lines(detail(in_flight=streams))
    start = next(index for index, line in enumerate(found) if line.startswith(" Sessions"))
    assert found[start] == " Sessions   2 on lb1 · the 2 oldest of 1,234 on lb2"
    assert [line.split()[0] for line in found[start + 2 : start + 6]] == ["1:02", "0:03", "0:01", NO_VALUE]
    assert found[start + 2].split() == ["1:02", "28", "s", "lb2", "10.0.0.9:4000", "www"]


def test_sessions_that_cannot_be_read_say_why_and_zero_is_zero() -> None:
    denied = PolledSessions(
        failing="`show sess`: Permission denied; it needs level operator or admin", denied=True
    )
    found = "\n".join(lines(detail(in_flight={LB1: denied})))
    assert "on lb1: `show sess`: Permission denied; it needs level operator" in found
    assert "2 on lb1 · 2 on lb2, being read" in found
    calm = detail(instance("lb1", server("web1")), in_flight={LB1: read(stream(9))})
    assert " Sessions   0 on lb1" in lines(calm)  # HAProxy counts none: what was read before has ended


def test_a_node_in_two_backends_has_both() -> None:
    servers = (server("web1"), server("web1", backend="admin", weight=0))
    shown = detail(instance("lb1", *servers), keys=(WEB1, ("admin", "web1")))
    found = "\n".join(lines(shown))
    assert "\n admin      lb1 ● live" in found
    assert "admin on all: weight 0 by an operator" in found
    assert "0 shop on lb1 · 0 admin on lb1" in found
    assert build_title(shown, "", 80)[1] == ("  shop, admin", "quiet")


def test_checks_agents_and_tracking() -> None:
    checked = server(
        "web1",
        check_status="L7STS",
        check_code="503",
        check_duration=12,
        check_failures=4,
        last_check="Layer7 wrong status",
        check_health=1,
        status="DOWN 1/2",
        operational=Operational.STOPPED,
        agent=True,
        agent_configured=True,
        agent_status="L7STS",
        last_agent="via agent : down (deploy)",
    )
    found = "\n".join(lines(detail(instance("lb1", checked))))
    for words in ("L7STS 503 in 12 ms", "Layer7 wrong status", "1/4  rise 2, fall 3, 4 failed"):
        assert words in found
    assert "L7STS  down (deploy)" in found
    follows = server("web1", has_checks=False, track_target="shop/web9")
    assert "that of shop/web9" in "\n".join(lines(detail(instance("lb1", follows))))
    silent = server("web1", agent_configured=True)
    assert "disabled" in "\n".join(lines(detail(instance("lb1", silent))))


def test_health_has_a_color_of_its_own() -> None:
    drained = server("web1", admin=Admin.FORCED_DRAIN, status="DRAIN", sessions=1)
    shown = detail(instance("lb1", drained))
    assert kind_of(shown, "▲ up") == "ok"
    assert kind_of(shown, "✗ out of rotation") == "moving"  # on its way: it still has a session
    assert kind_of(detail(instance("lb1", replace(drained, sessions=0))), "✗ out of rotation") == "out"


def journalled(text: str, kind: str = "command") -> Line:
    return Line(1, "16:42:05", "web1", "drain", "lb1", kind, text)


def test_the_journal_is_the_transcripts_lines_newest_last() -> None:
    shown = detail(journal=(journalled("set server shop/web1 state drain"), journalled("(empty)", "reply")))
    assert lines(shown)[-2].split() == "16:42:05 drain lb1 > set server shop/web1 state drain".split()
    assert lines(shown)[-1].strip() == "< (empty)"
    assert "none since the console opened" in lines(detail())[-1]


def test_long_lines_wrap_a_little_and_are_whole_in_what_is_copied() -> None:
    long = "word " * 2000
    shown = detail(journal=(journalled(long),))
    start = next(index for index, line in enumerate(lines(shown)) if line.startswith(" Commands"))
    assert len(lines(shown)) - start == 4
    assert lines(shown)[-1].endswith("…")
    assert long.strip() in as_text(shown)
    assert as_text(shown).startswith(" web1  shop  1.4.2")


@pytest.mark.parametrize("width", [80, 120, 200])
@pytest.mark.parametrize("text", [*HOSTILE, "日" * 10_000, "[/nothing]"])
def test_nothing_from_outside_moves_anything(text: str, width: int) -> None:
    bad = server(
        text,
        text,
        text,
        address=text,
        status=text,
        check_status=text,
        check_code=text,
        last_check=text,
        cookie=text,
        agent=True,
        agent_configured=True,
        agent_status=text,
        last_agent=text,
        admin=Admin.FORCED_DRAIN | Admin.INHERITED_MAINT,
        track_target=text,
        sessions=3,
    )
    one = instance(text, bad, state="stale", failing=text, read_at=NOW - 2)
    shown = detail(
        one,
        instance("lb2"),
        node=text,
        keys=((text, text),),
        version=text,
        in_flight={bad.ref: replace(read(stream(3, client=text, frontend=text, ref=bad.ref)), failing=text)},
        journal=(replace(journalled("x"), node="web1", target=text[:9] if harmless(text) else "t"),),
        entries=(NodeEntry(1, 0.0, text, text, True, text, text, text),),
        own_checks=(NodeCheck("health", False, text),),
    )
    for tab in TABS:
        for line in build_page(shown, width, tab).lines:
            assert harmless("".join(part for part, _ in line))
    for line in build_page(shown, width).lines:
        whole = "".join(part for part, _ in line)
        assert harmless(whole)
        assert len(whole) < 8000
    assert harmless(as_text(shown).replace("\n", ""))
    assert harmless("".join(part for part, _ in build_title(shown, "16:42:05", width)))
    above = [line for line in build_page(shown, width).lines if line and "Sessions" not in line[0][0]]
    assert max(cell_len("".join(part for part, _ in line)) for line in above[:16]) <= width


def test_an_empty_view_is_no_error() -> None:
    assert " Sessions   " + NO_VALUE in lines(replace(detail(), view=FleetView(())))
