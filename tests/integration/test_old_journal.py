"""Journals that earlier versions were killed over: this one finishes that rollout, and rolls it back."""

import contextlib
import sqlite3
from pathlib import Path

import pytest

from console.demo.stack import Stack
from tests.fixtures import copied, journals
from tests.support.rollouts import (
    NEW,
    rolldeck,
    say,
    states,
    tune,
    versions,
    world,
)

NEXT = "1.6.0"


ODD = (
    (2, '{"schema":7,"event":"batch_started","number":1,"nodes":["web1"],"zone":"a"}'),
    (4, '{"schema":1,"event":"node_teleported","node":"web1"}'),
    (13, '{"schema":1,"event":"step_done","node":"web1","step":"drain"}'),
    (17, b"\xff\x00\xfe"),
)
"""Rows as a later version or a damaged disk has them, in the middle of what was killed."""


async def as_it_was_left(stack: Stack, name: str) -> None:
    """The world in which these journals were written, when their Rolldeck was killed."""
    tune(stack, "journal", retention_days=36_500)
    await say(stack, "set server shop/web1 weight 50")
    await say(stack, "set server shop/web1 state maint")
    assert await stack.nodes["web1"].appctl("stop") == 0
    copied(name, stack.directory / "journal.db")


@pytest.mark.parametrize(
    ("name", "odd"),
    [
        pytest.param(name, odd, marks=[] if name == journals()[-1 if odd else 0] else pytest.mark.long)
        for name in journals()
        for odd in (False, True)
    ],
)
async def test_an_old_journal_is_shown_resumed_and_rolled_back(tmp_path: Path, name: str, odd: bool) -> None:
    async with world(tmp_path / "s", nodes=2, versions=(NEW, NEXT)) as stack:
        await as_it_was_left(stack, name)
        if odd:
            assert (await rolldeck(stack, "history", "verify")).code == 0
            with contextlib.closing(sqlite3.connect(stack.directory / "journal.db")) as journal, journal:
                for seq, event in ODD:
                    journal.execute("UPDATE events SET event = ? WHERE entry = 3 AND seq = ?", (event, seq))
        listed = await rolldeck(stack, "history")
        assert "upgrade 1.5.0 → 1.6.0" in listed.out
        shown = await rolldeck(stack, "history", "show", "3", "--transcript")
        assert (shown.code, shown.out.count("which cannot be read")) == (0, len(ODD) * odd), shown.text
        assert "web1 was left by rollout 3 (ann@ops" in (await rolldeck(stack, "status")).text
        plan = await rolldeck(stack, "plan", "shop", NEXT)
        assert plan.code == 0, plan.text
        assert ("of entry 3 cannot be read" in plan.text) is odd
        resumed = await rolldeck(stack, "resume", "shop", "--yes", "--json")
        assert resumed.code == 0, resumed.text
        assert await versions(stack) == {"web1": NEXT, "web2": NEXT}
        for servers in (await states(stack)).values():
            assert (servers["web1"].admin, servers["web1"].weight) == (0, 50), (
                "as it was before it was touched"
            )
        back = await rolldeck(stack, "rollback", "shop", "--rollout", "3", "--yes")
        assert back.code == 0, back.text
        assert await versions(stack) == {"web1": NEW, "web2": NEW}, "with what it had resumed"
        verified = await rolldeck(stack, "history", "verify")
        changed = odd and name != "journal-v1.db"  # which has no hashes
        assert verified.code == changed, verified.text
        assert ("event 13 is not the one that was written" in verified.out) is changed
