"""A journal that an earlier version was killed over: this one finishes that rollout, and rolls it back."""

from pathlib import Path

from console.demo.stack import Stack
from tests.fixtures import copied
from tests.integration.rollouts import (
    NEW,
    rolldeck,
    say,
    states,
    tune,
    upgrade,
    versions,
    world,
)

NEXT = "1.6.0"


async def as_it_was_left(stack: Stack) -> None:
    """The world in which `journal-v1.db` was written, when its Rolldeck was killed."""
    stack.add_release(NEXT, start_delay=0.1)
    tune(stack, "journal", keep_days=36_500)
    assert (await upgrade(stack, NEW)).code == 0
    await say(stack, "set server shop/web1 weight 50")
    await say(stack, "set server shop/web1 state maint")
    assert await stack.nodes["web1"].appctl("stop") == 0
    journal = stack.directory / "journal.db"
    for file in stack.directory.glob("journal.db*"):
        file.unlink()
    copied("journal-v1.db", journal)


async def test_an_old_journal_is_shown_resumed_and_rolled_back(tmp_path: Path) -> None:
    async with world(tmp_path / "s", nodes=2) as stack:
        await as_it_was_left(stack)
        listed = await rolldeck(stack, "history")
        assert "upgrade 1.5.0 → 1.6.0" in listed.out
        assert "web1 was left by rollout 3 (ann@ops" in (await rolldeck(stack, "status")).text
        resumed = await rolldeck(stack, "resume", "shop", "--yes", "--json")
        assert resumed.code == 0, resumed.text
        assert await versions(stack) == {"web1": NEXT, "web2": NEXT}
        for own in (await states(stack)).values():
            assert (own["web1"].admin, own["web1"].weight) == (0, 50), "as it was before it was touched"
        back = await rolldeck(stack, "rollback", "shop", "--rollout", "3", "--yes")
        assert back.code == 0, back.text
        assert await versions(stack) == {"web1": NEW, "web2": NEXT}, "that one had touched web1 only"
        verified = await rolldeck(stack, "history", "verify")
        assert verified.code == 0, verified.text
