"""The time that an operator waits for `rolldeck --help` and `rolldeck status`."""

import asyncio
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from console.terminal.output import result
from tests.support.rollouts import ROLLDECK, world

RUNS = 10
HELP_TARGET, STATUS_TARGET = 0.15, 0.5  # seconds in total, as agreed


def measure() -> bool:
    """Best and median of ten; False when a median is over its target."""
    return all([_report("--help", [ROLLDECK, "--help"], HELP_TARGET), asyncio.run(_status())])


async def _status() -> bool:
    """Two reachable HAProxies on this machine, with four servers each."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        async with world(Path(folder) / "s", transport="unix") as stack:
            command = [ROLLDECK, "--config", str(stack.config_path), "status"]
            return await asyncio.to_thread(_report, "status", command, STATUS_TARGET)


def _report(name: str, command: list[str], target: float) -> bool:
    times = []
    for _ in range(RUNS):
        start = time.perf_counter()
        subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)
        times.append(time.perf_counter() - start)
    median = statistics.median(times)
    result(f"rolldeck {name:<7} best {min(times):.3f} s, median {median:.3f} s, target {target} s")
    return median < target
