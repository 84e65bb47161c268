"""A freeze refuses a real upgrade before anything is touched; overridden it is kept in the events."""

from pathlib import Path

from tests.support.rollouts import NEW, rolldeck, untouched, upgrade, versions, world

FREEZE = """
[[apps.shop.freeze]]
from = 2020-01-01T00:00:00
to = 2099-01-01T00:00:00
timezone = "Europe/Berlin"
reason = "the shop is \\u001b[31mbusy"
"""
WORDS = "frozen until Thu 2099-01-01 00:00 (Europe/Berlin): the shop is"


async def test_a_frozen_application_is_upgraded_only_when_that_is_asked_for(tmp_path: Path) -> None:
    async with world(tmp_path / "s", nodes=2) as stack:
        with stack.config_path.open("a") as file:
            file.write(FREEZE)
        before = await untouched(stack)
        refused = await upgrade(stack)
        checked = await rolldeck(stack, "check", "shop", NEW)
        assert (refused.code, checked.code) == (3, 3), refused.text + checked.text
        assert "refused, no changes made" in refused.err
        assert WORDS in refused.err
        assert "--override-freeze starts anyway" in refused.err
        assert "\x1b" not in refused.err + checked.text
        assert await untouched(stack) == before

        run = await upgrade(stack, NEW, "--override-freeze")
        assert run.code == 0, run.text
        started, overridden = run.events[:2]
        assert (started["event"], overridden["event"]) == ("rollout_started", "freeze_overridden")
        assert overridden["operator"] == started["operator"]
        assert overridden["reason"].startswith(WORDS)
        assert set((await versions(stack)).values()) == {NEW}
