"""`rolldeck apps`: all applications at a glance."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import click

from backends.local_machine import SystemClock, keep_secret
from console.config.config_file import Config, find_and_load
from console.exit_codes import ExitCode
from console.interrupts import interrupts
from console.paths import journal_path
from console.terminal.apps import app_fields, apps_lines
from console.terminal.output import clean, paint, result, result_json, say
from console.terminal.watch import show_repeatedly, watch_option
from orchestrator.beside import running_beside
from orchestrator.fleet.overview import FleetOverview
from orchestrator.fleet.row import Attention

MEASURED_S = 1.2  # seconds until rates are known: two polls, and the time that they take
MAX_WAIT_S = 6.0  # seconds to wait for a load balancer that does not answer
MAX_VERSIONS_WAIT_S = 3.0  # seconds to wait for the versions of many nodes
CHECK_INTERVAL_S = 0.05  # seconds between two looks at what was read
_POLL_INTERVAL_S = 1.0  # seconds between two polls of a load balancer
_VERSION_BATCH = 16  # nodes whose version is read at a time: nobody waits for a key


@click.command()
@watch_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each application.")
@click.pass_obj
def apps(config_file: str | None, interval_s: float | None, as_json: bool) -> int:
    """Show every application in one line: nodes in rotation, versions, traffic, rollouts.

    Those that need attention come first: `?` a rollout waits for an answer, `✗` something is down or
    unreachable, or many requests fail, `◐` a rollout runs, `!` one was left unfinished, `‖` nodes were taken
    out, `✓` all is well.

    Exits 0 if nothing is marked but `◐` and `✓`.
    """
    config = find_and_load(config_file)
    return interrupts.run(_show(config, interval_s, as_json))


async def _show(config: Config, interval_s: float | None, as_json: bool) -> int:
    async with _reading(config) as overview:
        await _wait_for_data(overview)

        async def show() -> int:
            return _print(overview, as_json)

        return await show_repeatedly(show, interval_s, as_json=as_json)


@asynccontextmanager
async def _reading(config: Config) -> AsyncIterator[FleetOverview]:
    keep_secret(config.secret_variables())
    overview = FleetOverview(
        config,
        journal_path(config.journal.path),
        SystemClock(),
        interval=_POLL_INTERVAL_S,
        version_batch=_VERSION_BATCH,
    )
    try:
        async with running_beside({"overview": overview.run}):
            yield overview
    finally:
        await overview.close()


async def _wait_for_data(overview: FleetOverview) -> None:
    """Wait until each load balancer was read twice, as rates need, or has failed, or is too slow."""

    def has_rates() -> bool:
        return all(balancer.failing or len(balancer.rates.samples) > 1 for balancer in overview.balancers())

    await asyncio.sleep(MEASURED_S)
    await _wait_until(has_rates, MAX_WAIT_S)
    await _wait_until(lambda: overview.knows_versions, MAX_VERSIONS_WAIT_S)


async def _wait_until(condition: Callable[[], bool], timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if condition():
            return
        await asyncio.sleep(CHECK_INTERVAL_S)


def _print(overview: FleetOverview, as_json: bool) -> int:
    """Print all applications once, and return the exit code."""
    rows = overview.rows()
    if as_json:
        for row in rows:
            result_json(app_fields(row))
    else:
        for line in apps_lines(rows, time.time()):
            result(line)
    consul = overview.consul_status
    for problem in (overview.problem, f"consul: {consul.note}" if consul is not None and consul.note else ""):
        if problem:
            say(f"{paint('!', 'warn')} {clean(problem)}")
    quiet = all(row.attention in (Attention.QUIET, Attention.ROLLING) for row in rows)
    return ExitCode.HEALTHY if quiet else ExitCode.DEGRADED
