"""Works the console on the demo's world: random input while rollouts run and clients are served.

`python -m tests.monkey --events 20000` prints what it did. At a failure it prints the last actions; all of
them are in a file, which `--replay FILE` plays again, and `--last N` only its end.
"""

import argparse
import asyncio
import random
import sys
import tempfile
from pathlib import Path

from console.demo.load import Load
from console.terminal.output import say
from console.tui.app import Console
from orchestrator.engine.control import CONTINUE, RETRY, SKIP
from orchestrator.events.actor import Actor
from orchestrator.events.events import RolloutEnded
from tests.console.real_console import ConsoleStack, console_stack
from tests.monkey.run import MonkeyFound, Run, read_log, working_folder
from tests.support.rollouts import rolldeck

RATE = 40  # requests per second
ROUND = 500  # actions, after which nodes that were left out are put back
ENDS_WITHIN_S = 300.0
FORBIDDEN = ("ctrl+z",)  # suspends the process
_MONKEY = Actor("the monkey")


async def work(arguments: argparse.Namespace, folder: Path) -> None:
    """Play all actions, end the rollouts, and report. Raises MonkeyFound."""
    log: Path = arguments.log
    async with console_stack(folder, nodes=4, versions=("6.6.6",)) as here:
        run = Run(lambda: Console(here.workspace), is_idle=lambda: not here.is_rolling, log=log)
        async with Load(RATE, here.stack.frontends) as load:
            with working_folder(folder):
                await _play(run, here, arguments)
            await end_rollouts(here)
            report = await load.stop()
    ended = [record.event for record in here.records if isinstance(record.event, RolloutEnded)]
    results = ", ".join(event.result for event in ended) or "none"
    say(f"{run.played} actions on {run.consoles} consoles, {len(ended)} rollouts: {results}")
    say(f"{report.total_served} requests served, {report.total_failed} failed")
    if report.total_failed:
        raise MonkeyFound(f"requests failed: {report.failures[:5]}; all actions are in {log}")


async def _play(run: Run, here: ConsoleStack, arguments: argparse.Namespace) -> None:
    if arguments.replay:
        await run.replay(read_log(Path(arguments.replay))[-arguments.last :])
        return
    while run.played < arguments.events:
        count = min(ROUND, arguments.events - run.played)
        await run.play_random(arguments.seed + run.played, count, FORBIDDEN)
        say(f"{run.played} actions")
        if not here.is_rolling:
            await put_back(here)


async def put_back(here: ConsoleStack) -> None:
    """Put back what the monkey has taken out by hand, so that rollouts are possible again."""
    for node in here.stack.nodes:
        await rolldeck(here.stack, "weight", "shop", node, "--to", "100", "--yes")
        await rolldeck(here.stack, "ready", "shop", node, "--yes")


async def end_rollouts(here: ConsoleStack) -> None:
    """Answer and go on until nothing runs. MonkeyFound if it never ends."""
    deadline = asyncio.get_running_loop().time() + ENDS_WITHIN_S
    while here.is_rolling:
        if asyncio.get_running_loop().time() > deadline:
            raise MonkeyFound(f"the rollout does not end: {here.state}")
        control = here.control
        if control.paused:
            control.resume(_MONKEY)
        for question in control.questions[:1]:
            choice = next(choice for choice in (CONTINUE, SKIP, RETRY) if choice in question.choices)
            control.answer(question.id, choice, _MONKEY)
        await asyncio.sleep(0.1)


def main() -> int:
    """Run the monkey; the exit code is 1 when it has found something."""
    parser = argparse.ArgumentParser(prog="python -m tests.monkey", description=__doc__)
    parser.add_argument("--events", type=int, default=20_000, help="how many actions")
    parser.add_argument("--seed", type=int, default=None, help="default: a random one, which is printed")
    parser.add_argument("--log", type=Path, default=Path("monkey.jsonl"), help="file for the actions")
    parser.add_argument("--replay", default="", help="file with actions to play again")
    parser.add_argument("--last", type=int, default=0, help="only so many of them, from the end")
    arguments = parser.parse_args()
    if arguments.seed is None:
        arguments.seed = random.SystemRandom().randrange(1_000_000)
    say(f"seed {arguments.seed}")
    arguments.log = arguments.log.absolute()
    if not arguments.replay:
        arguments.log.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(prefix="monkey-") as folder:
        try:
            asyncio.run(work(arguments, Path(folder)))
        except MonkeyFound as found:
            say(str(found))
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
