"""`rolldeck demo`: an upgrade of real local nodes behind real HAProxies, under load."""

import asyncio
import shutil
import sys
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import click

from backends.errors import ConfigError
from console.config.config_file import Config, load
from console.demo import watchdog
from console.demo.configuration import DRAIN_TIMEOUT_S
from console.demo.consul import find_consul
from console.demo.haproxy import search_path
from console.demo.load import Load, Report
from console.demo.node import FAULTY, format_faulty_versions
from console.demo.stack import Stack, Transport
from console.demo.websockets import WebSockets
from console.exit_codes import ExitCode
from console.interrupts import interrupts
from console.paths import journal_path
from console.run_plan import RunOptions, run_plan
from console.sessions import open_session, stop_on_signals
from console.terminal.follow import follow_local, open_local
from console.terminal.output import clean, on_terminal, paint, result, say
from console.terminal.rollout_text import EXIT_CODES
from orchestrator.events.state import RolloutState
from orchestrator.journal.store import Journal
from orchestrator.session.session import Session


@dataclass(frozen=True, slots=True)
class Traffic:
    """What clients do meanwhile: requests per second, and websockets that they hold open."""

    rate: int
    websockets: int


FROM, TO = "1.4.2", "1.5.0"
MAX_SHOWN_FAILURES = 5


@click.command(epilog=f"\b\nFaulty versions to try, in the console or with --to:\n{format_faulty_versions()}")
@click.option(
    "--to",
    "version",
    type=click.Choice([TO, *(faulty.version for faulty in FAULTY)]),
    default=TO,
    show_default=True,
    metavar="VERSION",
    help="Target version if the console does not open; faulty versions are listed below.",
)
@click.option("--rate", default=100, show_default=True, metavar="N", help="Requests per second.")
@click.option(
    "--websockets",
    default=0,
    metavar="N",
    help="Websockets to hold open beside the requests; drains do not end then.",
)
@click.option(
    "--transport",
    type=click.Choice(["unix", "tcp", "ssh"]),
    default="unix",
    help="How to reach HAProxy's Runtime API.",
)
@click.option("--headless", is_flag=True, help="Run the upgrade without the console, also on a terminal.")
@click.option(
    "--consul/--no-consul",
    default=None,
    help="Use a real Consul agent for service discovery (default: if consul is on the PATH).",
)
@click.option(
    "--json", "as_json", is_flag=True, help="Run headless, and print every event as one line of JSON."
)
def demo(
    version: str,
    rate: int,
    websockets: int,
    transport: Transport,
    headless: bool,
    consul: bool | None,
    as_json: bool,
) -> int:
    """Upgrade four nodes behind two HAProxies from 1.4.2 to 1.5.0, over SSH and under load.

    On a terminal the console opens: press u and type 1.5.0 to upgrade. Without a terminal the upgrade
    runs by itself. Everything is real, runs on loopback in a temporary folder, and is removed at the end. The
    exit code is 0 only if the upgrade was healthy and no request failed. See below for faulty versions.
    """
    if shutil.which("haproxy", path=search_path()) is None:
        raise ConfigError("", "", "the demo needs haproxy; `make demo` installs it")
    if consul and find_consul() is None:
        raise ConfigError("", "--consul", "consul is not on the PATH")
    if consul is None:
        consul = find_consul() is not None
    traffic = Traffic(rate, websockets)
    terminal = all(map(on_terminal, (sys.stdin, sys.stdout, sys.stderr)))
    if terminal and not (headless or as_json):
        return interrupts.run(_run_demo(traffic, transport, consul, _run_console))

    shown_by_next = any(faulty.version == version and faulty.shown_by_next for faulty in FAULTY)

    async def upgrade(session: Session, wanted: str) -> int:
        options = RunOptions(yes=True, terminal=False, as_json=as_json)
        ended = await run_plan(session, await session.propose(wanted), options)
        return EXIT_CODES[ended.result] if ended else ExitCode.ABORTED

    async def upgrade_headless(config: Config) -> int:
        if websockets:
            say(f"waiting until the websockets are older than drain_timeout ({DRAIN_TIMEOUT_S} s) ...")
            await asyncio.sleep(DRAIN_TIMEOUT_S + 1)
        name = next(iter(config.apps))
        async with open_session(config, name) as session, stop_on_signals(session):
            code = await upgrade(session, version)
            if code != ExitCode.HEALTHY or not shown_by_next:
                return code
            async with open_session(config, name) as second, stop_on_signals(second):
                return await upgrade(second, TO)

    return interrupts.run(_run_demo(traffic, transport, consul, upgrade_headless))


async def _run_console(config: Config) -> int:
    """Run the console, and wait for a rollout that goes on without it: the servers end with the demo."""
    from console.tui.run_console import run_tui  # Textual takes half a second to import

    name = next(iter(config.apps))
    # With this mark, no process of a rollout outlives the servers, whatever happens to the demo.
    mark = {watchdog.MARK: str(Path(config.file).parent)}
    code = await run_tui(config, name, environment=mark)
    async with open_local(journal_path(config.journal.path), name) as (follower, rollout):
        if rollout.running:
            say("the demo ends with the rollout; Ctrl-C ends both at once")
            return await follow_local(follower, rollout, as_json=False)
    return code


def _read_last_state(config: Config) -> RolloutState:
    """Return how the last rollout went."""
    with Journal(journal_path(config.journal.path), read_only=True) as journal:
        rollouts = [entry for entry in journal.entries() if entry.kind != "change"]
        return RolloutState.of(journal.records(rollouts[0].id)) if rollouts else RolloutState()


async def _run_demo(
    traffic: Traffic, transport: Transport, consul: bool, do: Callable[[Config], Awaitable[int]]
) -> int:
    with tempfile.TemporaryDirectory(prefix="rolldeck-") as folder:
        what = (
            "2 HAProxies, 4 nodes and a Consul agent that knows them" if consul else "2 HAProxies and 4 nodes"
        )
        say(f"starting {what} on loopback, in {folder} ...")
        paced = traffic.websockets > 0
        async with Stack(Path(folder), transport=transport, consul=consul, paced=paced) as stack:
            say("to see them from another terminal:")
            say(f"  rolldeck --config {stack.config_path} status")
            stack.add_faulty_releases()
            config = load(stack.config_path)
            load_ = Load(traffic.rate, stack.frontends)
            load_.start()
            try:
                async with WebSockets(traffic.websockets, stack.frontends) as sockets:
                    code = await do(config)
            finally:
                report = await load_.stop()
            state = _read_last_state(config)
        _report_load(report, state)
        if traffic.websockets:
            _report_websockets(sockets)
        failed = report.total_failed or sockets.failed
        return ExitCode.DEGRADED if code == ExitCode.HEALTHY and failed else code


def _report_load(report: Report, state: RolloutState) -> None:
    result(f"nodes upgraded   {state.done}   ({FROM} → {state.version or TO})")
    result(f"requests served  {report.total_served}   (in {report.seconds:.1f} s)")
    failed = str(report.total_failed)
    result(f"requests failed  {paint(failed, 'bad' if report.total_failed else 'ok')}")
    for failure in report.failures[:MAX_SHOWN_FAILURES]:
        when = f"{failure.at:.2f} s after {failure.after:.2f} s on {failure.frontend}"
        say(f"  {when}: {clean(failure.problem)}")


def _report_websockets(sockets: WebSockets) -> None:
    ended = f"{sockets.closed} closed by their nodes, {sockets.cut} cut"
    result(f"websockets       {sockets.opened} opened   ({ended})")
    result(f"not opened       {paint(str(sockets.failed), 'bad' if sockets.failed else 'ok')}")
    for failure in sockets.failures[:MAX_SHOWN_FAILURES]:
        say(f"  {clean(failure)}")
