"""A rollout in another process of this machine, without Consul: it is followed and controlled."""

import asyncio
import contextlib
import os
import signal
import sqlite3
import stat
from pathlib import Path

import pytest

from orchestrator.local.control_socket import socket_path
from tests.support.held_steps import held
from tests.support.rollouts import NEW, OLD, into, rolldeck, started, until_ended, versions, world

UPGRADE = ("upgrade", "shop", NEW, "--yes", "--json")


async def test_a_rollout_is_followed_paused_resumed_and_aborted_by_other_processes(tmp_path: Path) -> None:
    async with world(tmp_path / "s", nodes=2) as stack, held(stack, "start") as let_go:
        nothing = await rolldeck(stack, "follow", "shop")
        assert (nothing.code, nothing.text) == (3, "no rollout of shop is running\n")
        async with started(stack, *UPGRADE) as first:
            await first.event("step_started", node="web1", step="start")
            path = socket_path(stack.directory / "journal.db", "shop")
            assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
            assert stat.S_IMODE(os.stat(path.parent).st_mode) & 0o077 == 0
            with contextlib.closing(sqlite3.connect(stack.directory / "journal.db")) as journal, journal:
                journal.execute("UPDATE entries SET began = began - 3600")  # as if the clock was set forward
            async with started(stack, "follow", "shop", "--json") as follower:
                await follower.event("step_started", node="web1", step="start")
                async with asyncio.timeout(60):  # nothing happens now that could be written to nobody
                    assert (await into("| head -n 3", stack, "follow", "shop", "--json"))[0] == 0
                    assert (await into("2>&1 | head -n 1", stack, "follow", "shop"))[0] == 0
                paused = await rolldeck(stack, "control", "shop", "pause")
                assert paused.code == 0, paused.text
                event = await first.event("paused")
                assert (event["via"], event["uid"]) == ("terminal", os.getuid())
                aside = path.rename(path.with_suffix(".aside"))  # as if it were another user's
                silent = await rolldeck(stack, "control", "shop", "abort")
                assert silent.code != 0
                assert f"does not answer at {path}: No such file" in silent.text
                aside.rename(path)
                await follower.event("paused")
                assert (await rolldeck(stack, "control", "shop", "resume")).code == 0
                await first.event("resumed")
                refused = await rolldeck(stack, "control", "shop", "retry")
                assert refused.code != 0
                assert "no such question is open" in refused.text
                assert (await rolldeck(stack, "control", "shop", "abort")).code == 0
                let_go()
                assert (await first.end()).code == 4
                followed = await follower.end()
            assert followed.code == 4
            assert followed.ended["result"] == "aborted"
            assert not path.exists()
        assert set((await versions(stack)).values()) == {NEW, OLD}
        gone = await rolldeck(stack, "control", "shop", "pause")
        assert (gone.code, gone.text) == (3, "no rollout of shop is running\n")


@pytest.mark.long
async def test_after_a_kill_follow_says_what_is_to_be_done_and_the_next_rollout_can_be_controlled(
    tmp_path: Path,
) -> None:
    async with world(tmp_path / "s", nodes=2) as stack, held(stack, "start") as let_go:
        async with started(stack, *UPGRADE) as first:
            await first.event("step_started", node="web1", step="start")
            async with started(stack, "follow", "shop", "--json") as follower:
                await follower.event("step_started", node="web1", step="start")
                first.signal(signal.SIGKILL)
                followed = await follower.end()
        assert followed.code == 1
        assert "is gone" in followed.err
        assert "rolldeck resume shop" in followed.err
        later = await rolldeck(stack, "follow", "shop")
        assert later.code == 1
        assert "interrupted" in later.text
        assert "rolldeck resume shop" in later.text
        assert socket_path(stack.directory / "journal.db", "shop").exists()  # nobody was there to remove it
        dead = await rolldeck(stack, "control", "shop", "abort")
        assert (dead.code, dead.text) == (3, "no rollout of shop is running\n")
        async with started(stack, "resume", "shop", "--yes", "--json") as second:
            await second.event("node_started", node="web1")
            assert (await rolldeck(stack, "control", "shop", "pause")).code == 0
            await second.event("paused")
            assert (await rolldeck(stack, "control", "shop", "resume")).code == 0
            let_go()
            assert (await second.end()).code == 0
        assert (await until_ended(stack, 2))["result"] == "healthy"
