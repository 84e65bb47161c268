"""`rolldeck calibrate`: sham rollouts, which change nothing, show how often a verdict would be wrong."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from random import SystemRandom

import click
import msgspec

from backends.errors import ConfigError
from backends.file_trust import Untrusted
from backends.local_machine import SystemClock
from backends.text import counted
from console.completion import complete_applications
from console.config.config_file import Config, find_and_load
from console.exit_codes import ExitCode
from console.interrupts import interrupts
from console.paths import journal_path
from console.sessions import listen_on, open_session
from console.terminal.output import clean, result, result_json, say
from orchestrator.canary.calibration import Calibration, expected_duration
from orchestrator.events.verdict_text import format_percent, format_time_span
from orchestrator.session.calibration import Calibrator, calibration_path, write_calibration

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_MOST_S = 30 * 86_400


def _parse_time_span(_: click.Context, __: click.Parameter, value: str) -> float:
    """Return the seconds of a time span such as 90s, 30m, 24h or 7d. Raises click.BadParameter."""
    found = re.fullmatch(r"([1-9]\d{0,6})([smhd])", value)
    if found is None:
        raise click.BadParameter(f"found {value!r}, expected a number with s, m, h or d, such as 24h")
    seconds = float(int(found[1]) * _UNITS[found[2]])
    if seconds > _MOST_S:
        raise click.BadParameter(f"found {value!r}, expected at most 30d")
    return seconds


@click.command()
@click.argument("app", shell_complete=complete_applications)
@click.option(
    "--for",
    "duration_s",
    metavar="TIME",
    default="24h",
    show_default=True,
    callback=_parse_time_span,
    help="How long, such as 30m or 7d.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
@click.pass_obj
def calibrate(config_file: str | None, app: str, duration_s: float, as_json: bool) -> int:
    """Judge the version that runs as if it were new, again and again; nothing is changed.

    Each sham rollout labels one node after the other, in a random order, and asks for the verdict: every
    "bad" is a false alarm. How strongly errors come in bursts is kept for later verdicts. Ctrl-C ends it
    with what is known by then.
    """
    return interrupts.run(_calibrate(find_and_load(config_file), app, duration_s, as_json=as_json))


async def _calibrate(config: Config, app: str, duration_s: float, *, as_json: bool) -> ExitCode:
    async with open_session(config, app) as session:
        application = await session.load_all_nodes()
        if application.canary.verdict == "off":
            key = f"apps.{app}.canary.verdict"
            raise ConfigError(str(config.file), key, 'found "off", with which nothing is judged')
        nodes = counted(len(application.nodes), "node")
        takes = format_time_span(expected_duration(len(application.nodes)))
        sham = f"a sham rollout of {nodes} takes {takes}"
        calibrator = Calibrator(application, SystemClock(), SystemRandom())
        begin = f"for {format_time_span(duration_s)}; {sham}; Ctrl-C ends it"
        interrupted = await _run(calibrator, duration_s, begin)
    found = calibrator.calibration
    path = calibration_path(journal_path(config.journal.path), app)
    kept, why_not = _keep(path, found)
    if as_json:
        result_json(
            {"kind": "calibration", "application": app, **msgspec.to_builtins(found), "kept_in": kept}
        )
    else:
        for line in _lines(found, application.canary.m, kept):
            result(line)
    for alarm in calibrator.alarms:
        say(f"false alarm: {clean(alarm)}")
    if why_not:
        say(f"not kept: {clean(why_not)}")
    if interrupted:
        return ExitCode.ABORTED
    return ExitCode.DEGRADED if why_not else ExitCode.HEALTHY


async def _run(calibrator: Calibrator, duration_s: float, begin: str) -> bool:
    """Run for so many seconds or until a signal; return whether a signal came. Raises what has ended it."""
    signaled = asyncio.Event()
    running = asyncio.ensure_future(calibrator.run(_say_progress))
    waiting = asyncio.ensure_future(signaled.wait())
    try:
        with listen_on(asyncio.get_running_loop(), lambda _: signaled.set()):
            say(begin)
            await asyncio.wait({running, waiting}, timeout=duration_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
        running.cancel()
        await asyncio.wait({running, waiting})
    if not running.cancelled() and (error := running.exception()) is not None:
        raise error
    return signaled.is_set()


def _say_progress(found: Calibration) -> None:
    say(f"{format_time_span(found.duration_s)}: {_count(found)}")


def _count(found: Calibration) -> str:
    alarms = counted(found.alarms, "false alarm")
    return f"{alarms} in {counted(found.shams, 'sham rollout')}"


def _keep(path: Path, found: Calibration) -> tuple[str | None, str]:
    """Keep what was learned; return the file, and why it could not be written."""
    if found.m is None:
        return None, ""
    try:
        write_calibration(path, found)
    except (OSError, Untrusted) as error:
        return None, str(error)
    return str(path), ""


def _lines(found: Calibration, own_m: float | None, kept: str | None) -> Iterator[str]:
    """Yield the result."""
    holds = f", {counted(found.holds, 'hold')}" if found.holds else ""
    yield f"{_count(found)}{holds} within {format_time_span(found.duration_s)}"
    if found.blind:
        yield f"{counted(found.blind, 'further sham rollout')} got too few requests to be judged"
    if not found.requests:
        yield "no requests whose errors are known were counted"
        return
    share = format_percent(found.errors / found.requests)
    yield f"{found.errors:,} of {found.requests:,} requests failed ({share})"
    if found.m is None:
        yield "m is not known: there were too few errors to learn how they come in bursts"
        return
    yield f"m = {found.m:g}: errors come in bursts of about this size"
    if kept is not None:
        outranks = f"; m = {own_m:g} in the configuration outranks it" if own_m is not None else ""
        yield f"kept for verdicts of the next 90 days in {clean(kept)}{outranks}"
