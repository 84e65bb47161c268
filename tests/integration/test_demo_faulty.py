"""The demo's faulty versions: what an upgrade to each of them ends with."""

import asyncio
from pathlib import Path

import pytest

from console.demo.load import Load
from console.demo.node import FAULTY
from tests.support.rollouts import NEW, ROLLDECK, Run, tune, upgrade, world

RATE = 40

# The step of web1 that fails, and a part of the reason; no step: it ends healthy.
ENDS = {
    "1.6.0-unhealthy": ("verify", "503"),
    "1.6.0-crash": ("verify", ""),  # out of rotation, own health or failed requests: what is seen first
    "1.6.0-errors": ("verify", "fails"),
    "1.6.0-slow": ("", ""),  # only the drain of another node waits for it
    "1.6.0-wrong-version": ("verify", "1.5.0 runs, expected 1.6.0-wrong-version"),
    "1.6.0-hanging-stop": ("", ""),
}


def failed(run: Run) -> tuple[str, str]:
    """Step and reason of the node that failed; empty when none has."""
    events = [event for event in run.events if event["event"] == "node_failed"]
    return (events[0]["step"], events[0]["error"]) if events else ("", "")


def test_each_version_is_tried() -> None:
    assert list(ENDS) == [faulty.version for faulty in FAULTY]


@pytest.mark.parametrize(
    "version",
    [
        version
        if version.endswith("crash")  # for others, test_canary_trials.py and test_upgrade_failures.py
        else pytest.param(version, marks=pytest.mark.long)
        for version in ENDS
    ],
)
async def test_an_upgrade_to_it(tmp_path: Path, version: str) -> None:
    step, words = ENDS[version]
    async with (
        world(tmp_path / "s", nodes=2, instances=1) as stack,
        Load(RATE, stack.frontends, slow_share=0),
    ):
        stack.add_faulty_releases()
        # With 20 requests a second and one other node, it takes the verdict about ten seconds.
        bake_time = 30 if version == "1.6.0-errors" else 3
        tune(stack, "apps.shop.rollout", bake_time=bake_time, verify_timeout=5, start_grace=1)
        run = await upgrade(stack, version, "--limit", "web1")
        assert (failed(run)[0], run.code) == (step, 1 if step else 0), run.text
        assert words in failed(run)[1]
        if version == "1.6.0-hanging-stop":
            tune(stack, "apps.shop.rollout", stop_timeout=2)
            run = await upgrade(stack, NEW, "--limit", "web1")
            assert run.code == 1, run.text
            assert failed(run)[0] == "stop"
            assert "is running" in failed(run)[1]


async def demo(*arguments: str) -> tuple[int, str]:
    """Run `rolldeck demo` to its end without a terminal."""
    process = await asyncio.create_subprocess_exec(
        *(ROLLDECK, "demo", "--no-consul", *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        out, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, out.decode()


@pytest.mark.long
async def test_the_demo_upgrades_to_one_without_a_terminal() -> None:
    code, said = await demo("--to", "1.6.0-unhealthy")
    assert code == 1, said
    assert "failed" in said
    assert "requests failed  0" in said


async def test_the_help_names_them() -> None:
    code, said = await demo("--help")
    assert code == 0
    assert [
        faulty for faulty in FAULTY if f"{faulty.version} " not in said or faulty.problem not in said
    ] == []
