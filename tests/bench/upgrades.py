"""Many consecutive upgrades under load, each of four new nodes behind two new HAProxies."""

import asyncio
import tempfile
from pathlib import Path

from console.demo.load import Load, Report
from console.demo.stack import Transport
from console.terminal.output import result
from tests.support.rollouts import upgrade, world

RATE = 200  # requests per second; half keep their connection, 2 % of them last 2 s


def measure(runs: int, transports: tuple[Transport, ...]) -> bool:
    """Print a line for each run; False when a request failed anywhere."""
    failed = served = 0
    result(f"{'TRANSPORT':<10} {'RUN':>3} {'SECONDS':>8} {'SERVED':>7} {'RETRIED':>8} {'FAILED':>7}")
    for transport in transports:
        for number in range(1, runs + 1):
            code, report = asyncio.run(_one(transport))
            bad = report.total_failed + (code != 0)
            served, failed = served + report.total_served, failed + bad
            result(
                f"{transport:<10} {number:>3} {report.seconds:>8.1f} {report.total_served:>7}"
                f" {report.retried:>8} {report.total_failed:>7}" + (f"   exit code {code}" if code else "")
            )
    result(f"{runs * len(transports)} upgrades of 4 nodes: {served} requests served, {failed} failed")
    return not failed


async def _one(transport: Transport) -> tuple[int, Report]:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        async with (
            world(Path(folder) / "s", transport=transport) as stack,
            Load(RATE, stack.frontends) as load,
        ):
            run = await upgrade(stack)
            return run.code, await load.stop()
