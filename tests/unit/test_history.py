"""`rolldeck history`: the list, one entry closely, and what is wrong, as a shell sees it."""

import json
import sqlite3
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec import structs

from console.cli import main
from orchestrator.events.events import (
    CommandFinished,
    CommandSending,
    ManualChangeFinished,
    ManualChangeStarted,
    NodeFailed,
    NodeRolledBack,
    NodeStarted,
    Record,
)
from orchestrator.events.json import encode, event_fields
from orchestrator.journal.store import Journal
from tests.support.console_values import write
from tests.unit import journals
from tests.unit.console_shell import Done

Rolldeck = Callable[..., Done]

pytestmark = pytest.mark.usefixtures("local_time")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


@pytest.fixture
def rolldeck(
    path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Rolldeck:
    """`rolldeck history` on this journal, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str, journal: Path | None = path) -> Done:
        where = ["--journal", str(journal)] if journal is not None else []
        monkeypatch.setattr(sys, "argv", ["rolldeck", "history", *where, *arguments])
        with pytest.raises(SystemExit) as caught:
            main()
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return Done(int(caught.value.code or 0), out, err)

    return call


def test_the_list(path: Path, rolldeck: Rolldeck) -> None:
    *records, last = journals.healthy()
    waited = structs.replace(last.event, answer_wait_s=20.0)
    journals.write(path, [*records, structs.replace(last, event=waited)], operator="ann@ops")
    journals.write(path, journals.troubled(), follows=1)
    journals.write(path, journals.healthy()[:40], pid=2**22 + 1)
    journals.write(path, journals.healthy()[:1], application="pay", host="elsewhere")
    done = rolldeck()
    assert (done.code, done.err) == (0, "")
    assert [line.split() for line in done.out.splitlines()] == [
        ["ID", "WHEN", "APP", "WHAT", "BY", "RESULT", "NODES", "TOOK"],
        [*"4 2023-11-14 22:13 pay upgrade 1.0 → 2.0 me@here no end 0/3 -".split()],
        [*"3 2023-11-14 22:13 shop upgrade 1.0 → 2.0 me@here interrupted 0/3 -".split()],
        [*"2 2023-11-14 22:13 shop upgrade 1.0 → 2.0 me@here aborted 1/3 1:05".split()],
        [*"1 2023-11-14 22:13 shop upgrade 1.0 → 2.0 ann@ops healthy 3/3 19 s".split()],
    ]
    assert ", 20 s for answers\n" in rolldeck("show", "1").out
    assert [line.split()[0] for line in rolldeck("shop", "--limit", "2").out.splitlines()[1:]] == ["3", "2"]
    assert rolldeck("list", "shop", "--limit=2").out == rolldeck("--limit", "2", "shop").out
    fields = [json.loads(line) for line in rolldeck("--json").out.splitlines()]
    assert [line["entry"] for line in fields] == [4, 3, 2, 1]
    assert [line["result"] for line in fields] == ["no end", "interrupted", "aborted", "healthy"]
    assert [(line["nodes_done"], line["follows"]) for line in fields[2:]] == [(1, 1), (3, None)]
    assert [round(line["answer_wait_s"]) for line in fields] == [0, 0, 0, 20]
    assert {(line["schema"], line["kind"]) for line in fields} == {(2, "entry")}


def test_changes_by_hand(path: Path, rolldeck: Rolldeck) -> None:
    records = journals.numbered(
        ManualChangeStarted(action="weight", nodes=["web1"], weight=50, override=[], operator="ann"),
        ManualChangeFinished(nodes=["web1"], servers=["shop/web1 on lb1: ready UP"], error=""),
    )
    plan = {"action": "weight", "nodes": ["web1"], "weight": 50}
    entry = journals.write(path, records[:-1], kind="change", version="", plan=plan)
    with Journal(path) as journal:
        journal.end(entry, records[-1], "healthy", "")
    assert " weight web1 to 50 " in rolldeck().out
    out = rolldeck("show", "1").out
    assert out.startswith("change 1 of shop: weight web1 to 50\n  result    healthy\n")
    assert out.endswith("✓ the manual change was done\n             shop/web1 on lb1: ready UP\n")


def test_one_closely(path: Path, rolldeck: Rolldeck) -> None:
    records = journals.with_traffic(journals.troubled(), errors=3)
    journals.write(path, records, operator="ann@ops", host="ops1", pid=42, follows=7)
    done = rolldeck("show", "1")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[:9] == [
        "upgrade 1 of shop: upgrade 1.0 → 2.0",
        "  result    aborted by ann: at web2",
        "  when      2023-11-14 22:13:20 to 22:14:25 (UTC+0000)",
        "  by        ann@ops, process 42 on ops1",
        "  plan      intact: 3 nodes in 2 batches",
        "  follows   7: rolldeck history show 7",
        "  traffic   120,345 requests, 3 errors (5xx only), in 1:01",
        "  steps     drain 5.0 s, stop 1.5 s, install 0.0 s, start 6.0 s, verify 48 s",
        "            working 51 s, waiting 10 s, paused 20 s",
    ]
    for line in (
        "  22:13:25 ‖ paused by ann: lunch",
        "  22:13:20 ✓ drain    5.0 s  no sessions left",
        "             waited 5.0 s for: baking",
        "  22:14:02 ? ann answered retry",
        "  22:14:02 · drain    0.0 s  nothing to do",
        "  put back in rotation:  rolldeck ready shop web2",
    ):
        assert line in lines
    assert lines.index("  22:14:02 ? ann answered retry") < lines.index(
        "  22:14:02 · drain    0.0 s  nothing to do"
    )
    assert "state maint" not in done.out


def test_every_command_with_its_reply(path: Path, rolldeck: Rolldeck) -> None:
    records = journals.numbered(
        CommandFinished(
            node="web1", step="drain", target="lb1", command="show x", reply="a\nb\n", ok=True, duration_s=0.5
        ),
        CommandFinished(node="", step="", target="lb2", command="bad", reply="", ok=False, duration_s=0),
        CommandSending(node="web1", step="stop", target="web1", command="systemctl stop shop"),
    )
    journals.write(path, records)
    assert rolldeck("show", "1", "--transcript").out.splitlines()[-7:] == [
        "22:13:20.500 web1 drain on lb1 > show x   (0.5 s)",
        "    < a",
        "    < b",
        "22:13:22.000 on lb2 ✗> bad   (0.0 s)",
        "    < (empty)",
        "22:13:23.000 web1 stop on web1 ✗> systemctl stop shop   (0.0 s)",
        "    < (no reply recorded)",
    ]


def test_one_as_json(path: Path, rolldeck: Rolldeck) -> None:
    records = journals.troubled()
    journals.write(path, records)
    head, *lines = [json.loads(line) for line in rolldeck("show", "1", "--json").out.splitlines()]
    assert (head["kind"], head["plan"], head["plan_intact"]) == ("entry", journals.PLAN, True)
    assert lines == [json.loads(encode(event_fields(record))) | {"entry": 1} for record in records]


def test_without_an_end_it_says_what_was_begun(path: Path, rolldeck: Rolldeck) -> None:
    journals.write(path, journals.troubled()[:60], pid=2**22 + 1, application="a b")
    assert rolldeck("show", "1").out.splitlines()[-4:] == [
        "interrupted: what is out of rotation was not recorded",
        "  begun and not finished:   web1, web2",
        "  check it:                 rolldeck status 'a b'",
        "  finish it:                rolldeck resume 'a b'",
    ]


def test_one_that_runs(path: Path, rolldeck: Rolldeck) -> None:
    shift = time.time() - 1_700_000_000.0
    records = [Record(record.seq, record.at + shift, record.event) for record in journals.troubled()[:60]]
    journals.write(path, records)
    assert rolldeck().out.splitlines()[1].split()[-3:] == ["running", "0/3", "-"]
    assert rolldeck("show", "1").out.splitlines()[-3:] == [
        "it still runs",
        "  begun and not finished:   web1, web2",
        "  check it:                 rolldeck status shop",
    ]


def test_what_was_rolled_back_since_says_by_which(path: Path, rolldeck: Rolldeck) -> None:
    failed = NodeFailed(node="web1", step="verify", error="sick", touched=True)
    turn = NodeStarted(node="web1", version="2.0", originals=[])
    journals.write(path, journals.numbered(journals.started(), turn, failed, journals.ended("degraded")))
    assert "rolled back" not in rolldeck("show", "1").out
    begun = journals.started(kind="rollback", version="1.0", before={"web1": "2.0"})
    turn = NodeStarted(node="web1", version="1.0", originals=[])
    back = NodeRolledBack(node="web1", duration_s=1.0, version="1.0")
    records = journals.numbered(begun, turn, back, journals.ended("healthy"))
    journals.write(path, records, kind="rollback", version="1.0", follows=1)
    lines = rolldeck("show", "1").out.splitlines()
    assert lines[1:3] == ["  result    degraded: failed: web1", "            rolled back by 2 (web1)"]
    head = json.loads(rolldeck("show", "1", "--json").out.splitlines()[0])
    assert head["rolled_back_by"] == {"web1": 2}
    assert "rolled back by" not in rolldeck("show", "2").out
    assert "by entry 2 (web1)" in rolldeck("export", "1", "--output", "-").out


def test_what_is_not_there(path: Path, rolldeck: Rolldeck) -> None:
    done = rolldeck("show", "1")
    assert (done.code, done.out) == (2, "")
    assert "there is no such journal" in done.err
    journals.write(path, journals.healthy())
    for command in ("show", "export"):
        done = rolldeck(command, "99")
        assert (done.code, done.out) == (2, "")
        assert f"{path}: the journal has no entry 99; the newest is 1" in done.err
    assert rolldeck("show", "first").code == 2
    done = rolldeck("shp")
    assert (done.code, done.out, done.err) == (
        0,
        "",
        f"no entries of shp in the journal {path}; did you mean 'shop'? there is: shop\n",
    )


def test_an_empty_one(rolldeck: Rolldeck, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    done = rolldeck(journal=None)
    place = tmp_path / "state" / "rolldeck" / "journal.db"
    assert (done.code, done.out, done.err) == (0, "", f"no entries in the journal {place}\n")
    assert rolldeck("--json", journal=None) == Done(0, "", "")
    done = rolldeck("show", "1", journal=None)
    assert (done.code, "has no entry 1; it is empty" in done.err) == (2, True)
    assert not (tmp_path / "state").exists()


def test_a_damaged_one(path: Path, rolldeck: Rolldeck) -> None:
    journals.write(path, journals.healthy())
    path.write_bytes(b"\x1b[31m" * 1000)
    for arguments in ((), ("--json",), ("show", "1"), ("export", "1")):
        done = rolldeck(*arguments)
        assert (done.code, done.out) == (1, "")
        assert f"rolldeck: journal {path}: file is not a database; it is damaged: mv {path} " in done.err


def test_what_somebody_has_changed(path: Path, rolldeck: Rolldeck) -> None:
    journals.write(path, journals.healthy())
    for plan in ("[1, 2]", "7", '{"batches": 3, "nodes": {}, "findings": ["x"]}', "null"):
        with sqlite3.connect(path) as other:
            other.execute("UPDATE entries SET plan = ?", (plan,))
            other.execute("DELETE FROM events WHERE seq = 9")
        other.close()
        assert rolldeck().code == 0
        out = rolldeck("show", "1").out
        assert "  plan      NOT intact: it was changed\n" in out
        assert "  journal   not whole: 1 event missing\n" in out
        assert rolldeck("export", "1", "--output", "-").code == 0
