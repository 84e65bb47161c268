"""`rolldeck status`: every server on every load balancer, and what is not in rotation."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial

import click

from backends.consul.client import Consul
from backends.errors import BackendError, RolldeckError
from console.completion import complete_applications
from console.config.config_file import Config, find_and_load
from console.exit_codes import ExitCode
from console.interrupts import interrupts
from console.paths import journal_path
from console.terminal.output import clean, paint, result, result_json
from console.terminal.overview import Overview, overview_lines
from console.terminal.response_times import (
    MEASURED_S,
    find_response_times,
    has_traffic,
)
from console.terminal.server_table import (
    Answers,
    OncePrinter,
    Times,
    find_unattributed,
    print_servers,
    show_saturation,
    show_servers,
    show_unattributed,
    snapshots_of,
)
from console.terminal.status import (
    status_fields,
    status_lines,
)
from console.terminal.watch import show_repeatedly, watch_option
from orchestrator.adapters import AdapterFactory
from orchestrator.errors import JournalError
from orchestrator.live.versions import DiskVersions
from orchestrator.session.status import ApplicationStatus, SharedJournal, StatusReader

MAX_CONCURRENT_APPLICATIONS = 8  # that are read at the same time for their lines


@click.command()
@click.argument("app", required=False, shell_complete=complete_applications)
@watch_option
@click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object for each server and load balancer."
)
@click.pass_obj
def status(config_file: str | None, app: str | None, interval_s: float | None, as_json: bool) -> int:
    """Show every server on every load balancer, versions, and running or unfinished rollouts.

    Of several applications, show one line each, but all servers with --json. Exits 0 if all servers are in
    rotation and no rollout was left unfinished.
    """
    config = find_and_load(config_file)
    names = [app] if app else list(config.apps)
    for name in names:
        config.app(name)  # raises before anything is asked

    async def show() -> int:
        return await _status(config, names, as_json)

    return interrupts.run(show_repeatedly(show, interval_s, as_json=as_json))


async def _status(config: Config, names: Sequence[str], as_json: bool) -> int:
    worst, say_once, disks = ExitCode.HEALTHY, OncePrinter(), DiskVersions()
    is_brief = len(names) > 1 and not as_json
    consul = Consul(config.consul) if config.consul is not None else None
    journal = SharedJournal(journal_path(config.journal.path), check=not is_brief)
    try:
        if is_brief:
            return await _show_overview(config, names, consul, journal, disks)
        for name in names:
            async with _open_reader(config, name, consul, journal, disks) as reader:
                answers, times = await _read_twice(reader, MEASURED_S / len(names))
                # Before empty slots are left out: a server that is gone explains some errors.
                unattributed_errors = find_unattributed(answers)
                answers = await reader.without_empty_slots(answers)
                if as_json:
                    healthy = print_servers(name, answers, times)
                else:
                    healthy = show_servers(name, answers, say_once, times)
                show_unattributed(name, unattributed_errors, as_json=as_json)
                show_saturation(name, answers, as_json=as_json)
                healthy &= await _show_rollouts(
                    name, partial(reader.read, answers), say_once, as_json=as_json
                )
            worst = worst if healthy else ExitCode.DEGRADED
        return worst
    finally:
        journal.close()
        if consul is not None:
            await consul.close()


@asynccontextmanager
async def _open_reader(
    config: Config, name: str, consul: Consul | None, journal: SharedJournal, disks: DiskVersions
) -> AsyncIterator[StatusReader]:
    adapters = AdapterFactory(config.ssh, lambda _: None, config.file)
    try:
        balancers = adapters.balancers(await config.find_haproxy(name, consul))
        yield StatusReader(config, name, journal, consul, adapters, balancers, disks)
    finally:
        await adapters.close()


async def _show_overview(
    config: Config, names: Sequence[str], consul: Consul | None, journal: SharedJournal, disks: DiskVersions
) -> int:
    """Show one line for each application; what is wrong with one does not hide the others."""
    limit = asyncio.Semaphore(MAX_CONCURRENT_APPLICATIONS)

    async def read(name: str) -> Overview:
        async with limit:
            answers: Answers = {}
            try:
                async with _open_reader(config, name, consul, journal, disks) as reader:
                    answers = await reader.without_empty_slots(await reader.read_balancers())
                    return Overview(name, answers, await reader.read_briefly(answers))
            except RolldeckError as error:
                return Overview(name, answers, None, str(error))

    overviews = await asyncio.gather(*map(read, names))
    for line in overview_lines(overviews):
        result(line)
    say_once = OncePrinter()
    for overview in overviews:
        unreachable = [answer for answer in overview.answers.values() if isinstance(answer, BackendError)]
        for error in unreachable:
            say_once(f"{paint('✗', 'bad')} {clean(str(error))}")
        for problem in overview.status.problems if overview.status is not None else ():
            say_once(f"{paint('!', 'warn')} {clean(problem)}")
    return ExitCode.HEALTHY if all(overview.healthy for overview in overviews) else ExitCode.DEGRADED


async def _read_twice(reader: StatusReader, wait_s: float) -> tuple[Answers, Times]:
    """Read the load balancers, and again after `wait_s` seconds if there is traffic; return the latest."""
    before = after = await reader.read_balancers()
    if has_traffic(snapshots_of(before)):
        await asyncio.sleep(wait_s)
        after = await reader.read_balancers()
    return after, find_response_times(snapshots_of(before), snapshots_of(after))


async def _show_rollouts(
    app: str,
    read: Callable[[], Awaitable[ApplicationStatus]],
    say_once: Callable[[str], None],
    *,
    as_json: bool,
) -> bool:
    """Show rollouts, versions and who keeps a node out. Return whether nothing was left unfinished."""
    try:
        status = await read()
    except JournalError as error:
        say_once(f"{paint('!', 'warn')} {clean(str(error))}")
        return True
    if as_json:
        for fields in status_fields(app, status):
            result_json(fields)
    else:
        for line in status_lines(app, status):
            result(line)
    for problem in status.problems:
        say_once(f"{paint('!', 'warn')} {clean(problem)}")
    # Beside JSON, too: what an earlier rollout has left is for people.
    for left in status.left:
        say_once(f"{paint('!', 'warn')} {clean(left.node)} was {clean(left.text)}")
    if status.left:
        say_once(f"  to finish it: rolldeck resume {app}")
    return not status.unfinished
