"""A rollout whose results cannot be written goes on to its end, and does not end as if nothing were wrong."""

import asyncio
from pathlib import Path

from tests.support.rollouts import NEW, into, versions, world


async def test_events_that_nobody_gets_are_said_once_and_cost_the_exit_code(tmp_path: Path) -> None:
    async with world(tmp_path / "s", nodes=2) as stack:
        code, err = await into(">/dev/full", stack, "upgrade", "shop", NEW, "--yes", "--json")
        assert code == 1, err
        lost = "rolldeck: standard output: No space left on device; what was to be written there is lost"
        assert err.splitlines().count(lost) == 1
        assert err.splitlines().index(lost) < len(err.splitlines()) - 1  # when it was lost, not at the end
        assert "healthy" in err
        assert await versions(stack) == dict.fromkeys(stack.nodes, NEW)


async def test_a_reader_that_has_enough_costs_nothing(tmp_path: Path) -> None:
    async with world(tmp_path / "s", nodes=2) as stack:
        code, err = await into("| head -n 1", stack, "upgrade", "shop", NEW, "--yes", "--json")
        assert "lost" not in err
        assert code == 0
        assert await versions(stack) == dict.fromkeys(stack.nodes, NEW)
        async with asyncio.timeout(60):  # what has no other end ends with its reader
            assert await into("| head -n 1", stack, "status", "--watch=600") == (0, "")
