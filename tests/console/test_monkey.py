"""Short runs of the monkey, over a console without network; `python -m tests.monkey` has the long ones."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.console.frozen_console import TROUBLED, FrozenConsole
from tests.console.frozen_rollout import FAILURE, FrozenRollout, halfway
from tests.monkey.__main__ import main
from tests.monkey.run import Run, working_folder


def open_trouble() -> FrozenConsole:
    return FrozenConsole(TROUBLED, applications=("shop", "api", "billing"))


@pytest.fixture
def failed_rollout() -> FrozenRollout:
    """A rollout that waits for a decision; each console over it is another one."""
    story = FrozenRollout(halfway("maint")).upgraded("web1", "web2").batch("web3").step("web3", "drain")
    return story.failed("web3", "drain", FAILURE)


@pytest.mark.parametrize(
    ("seed", "count"),
    [(1, 120), *(pytest.param(seed, 3000, marks=pytest.mark.long) for seed in range(2, 6))],
)
async def test_random_input_does_no_harm(
    failed_rollout: FrozenRollout, tmp_path: Path, seed: int, count: int
) -> None:
    for number, open_console in enumerate((open_trouble, failed_rollout.console)):
        run = Run(log=tmp_path / f"{number}.jsonl")
        with working_folder(tmp_path):
            await run.play_random(open_console, seed, count)


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("options", [(), ("--fleet",)])
def test_random_input_while_rollouts_run(tmp_path: Path, options: Sequence[str]) -> None:
    assert main([*options, "--events", "1500", "--seed", "1", "--log", str(tmp_path / "monkey.jsonl")]) == 0
