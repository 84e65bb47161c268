"""Works the console on real servers: random input while rollouts run and clients are served.

`python -m tests.monkey --events 20000` works that of the demo, and `--fleet` that of several applications.
At a failure it prints the last actions; all of them are in a file, which `--replay FILE` plays again, and
`--last N` only its end. The folder of the servers, with the journal, then stays as well.
"""

import argparse
import asyncio
import itertools
import random
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from console.terminal.output import say
from tests.monkey.clients import Clients, running_clients
from tests.monkey.run import MonkeyFound, Run, read_log, working_folder
from tests.monkey.worlds import World, demo_world, fleet_world

ROUND = 500  # events of one operator's sessions
FORBIDDEN = ("ctrl+z",)  # suspends the process


async def work(arguments: argparse.Namespace, folder: Path) -> None:
    """Play all events, end the rollouts, and report. Raises MonkeyFound."""
    async with (fleet_world if arguments.fleet else demo_world)(folder) as world:
        run = Run(world.idle, world.answer, lambda: world.is_rolling, arguments.fleet, arguments.log)
        with running_clients(world.stack.frontends) as clients:
            try:
                with working_folder(folder):
                    await _play(run, world, clients, arguments)
                await world.end_rollouts()
                await world.put_back()
            finally:
                report = await clients.stop()
                say(f"{run.events} events in {run.actions} actions on {run.consoles} consoles")
                say(f"{run.rolling_events} of them while rollouts ran: {dict(world.results)}")
                say(f"{report.total_served} requests served, {report.total_failed} failed")
                say(f"{report.seconds:.0f} s")
    if report.total_failed:
        failures = "\n".join(
            f"{time.strftime('%H:%M:%S', time.gmtime(clients.began + failure.at))} {failure}"
            for failure in report.failures
        )
        raise MonkeyFound(f"requests failed:\n{failures}")


async def _play(run: Run, world: World, clients: Clients, arguments: argparse.Namespace) -> None:
    if arguments.replay:
        async with world.consoles() as open_console:
            await run.replay(open_console, read_log(Path(arguments.replay))[-arguments.last :])
        return
    for number in itertools.count(1):
        async with world.consoles() as open_console:
            count = min(ROUND, arguments.events - run.events)
            await run.play_random(open_console, arguments.seed + number, count, FORBIDDEN)
        say(f"{time.strftime('%H:%M:%S')} {run.events} events, rollouts: {dict(world.results)}")
        if run.events >= arguments.events or clients.have_failed:
            return
        if number % 2 == 0:  # every second operator finds rollouts that run
            await world.end_rollouts()
            await world.put_back()


def main(words: Sequence[str] | None = None) -> int:
    """Run the monkey; the exit code is 1 when it has found something.

    Args:
        words: the arguments; None for those of the command line.
    """
    parser = argparse.ArgumentParser(prog="python -m tests.monkey", description=__doc__)
    parser.add_argument("--events", type=int, default=20_000, help="how many keys, clicks and so on")
    parser.add_argument("--fleet", action="store_true", help="several applications")
    parser.add_argument("--seed", type=int, default=None, help="default: a random one, which is printed")
    parser.add_argument("--log", type=Path, default=Path("monkey.jsonl"), help="file for the actions")
    parser.add_argument("--replay", default="", help="file with actions to play again")
    parser.add_argument("--last", type=int, default=0, help="only so many of them, from the end")
    arguments = parser.parse_args(words)
    if arguments.seed is None:
        arguments.seed = random.SystemRandom().randrange(1_000_000)
    say(f"seed {arguments.seed}")
    arguments.log = arguments.log.absolute()
    if not arguments.replay:
        arguments.log.unlink(missing_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="monkey-"))
    try:
        asyncio.run(work(arguments, folder))
    except MonkeyFound as found:
        say("".join(traceback.format_exception(found)))
        say(f"all actions are in {arguments.log}, and the journal is in {folder}")
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
