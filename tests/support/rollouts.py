"""Upgrades of the demo's stack for tests: with a fast configuration, and `rolldeck` run as by a user.

Nothing here reads HAProxy through the code that is tested: states come from a parser of its own.
"""

import asyncio
import contextlib
import json
import os
import signal
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from console.demo.haproxy import Checks
from console.demo.load import Load, Report
from console.demo.stack import Stack
from tests.support.forks import SCRIPT, Forked, execute, fork
from tests.support.stacks import TunedStack, restart_haproxy, running_version
from tests.support.wait import until

ROLLDECK = SCRIPT
OLD, NEW = "1.4.2", "1.5.0"
MAINT, DRAIN = 1, 8  # forced, in srv_admin_state


@asynccontextmanager
async def world(place: Path, *, port_check_from: str = "console", **options: Any) -> AsyncIterator[Stack]:
    """A stack that is quick to upgrade: checks every 100 ms, a start of 0.1 s, 0.2 s of bake.

    Args:
        place: a short folder.
        port_check_from: who looks at the applications' ports; the default of users is "node", which
            starts a program for each look, and two cores have a thousand upgrades to carry.
        options: of the stack; `stack_class` is its class.
    """
    stack_class: type[TunedStack] = options.pop("stack_class", TunedStack)
    settings: dict[str, Any] = {"start_delay": 0.1, "checks": Checks(inter=0.1), **options}
    async with stack_class(place, **settings) as stack:
        tune(stack, "apps.shop.access", port_check_from=port_check_from)
        tune(stack, "apps.shop.health", successes=2, interval=0.05)
        tune(
            stack,
            "apps.shop.rollout",
            bake_time=0.2,
            min_healthy=0.1,
            drain_timeout=10,
            maint_grace_period=2,
            stop_timeout=10,
            start_timeout=10,
            verify_timeout=10,
            capacity_timeout=2,
            trial=0,
        )
        yield stack


def tune(stack: Stack, table: str, **values: object) -> None:
    """Set keys of one table of the stack's config.toml; strings, numbers and lists."""
    head, _, rest = stack.config_path.read_text().partition(f"[{table}]\n")
    own, separator, tail = rest.partition("\n[")
    lines = [line for line in own.splitlines() if line.split(" = ")[0] not in values]
    lines += [f"{key} = {json.dumps(value)}" for key, value in values.items()]
    text = "\n".join(line for line in lines if line)
    stack.config_path.write_text(f"{head}[{table}]\n{text}\n{separator}{tail}")


def seconds_of(event: Mapping[str, Any]) -> float:
    """When an event of `--json` happened, in seconds since 1970."""
    return datetime.fromisoformat(event["time"]).timestamp()


@dataclass(frozen=True, slots=True)
class Run:
    """How one call of `rolldeck` ended."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        return self.out + self.err

    @property
    def events(self) -> list[dict[str, Any]]:
        """Of a run with `--json`: every line must decode."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def ended(self) -> dict[str, Any]:
        """The last event, which must be how the rollout ended."""
        last = self.events[-1]
        assert last["event"] == "rollout_ended", last
        return last

    @property
    def sent(self) -> list[tuple[str, str]]:
        """Load balancer or node, and each command that was sent to it."""
        sent = [event for event in self.events if event["event"] == "command_finished"]
        return [
            (event["target"], event["command"].removeprefix("set severity-output number; ")) for event in sent
        ]


class Running:
    """A `rolldeck` that has been started; what it writes is kept."""

    def __init__(self, process: asyncio.subprocess.Process | Forked) -> None:
        self.process = process
        self._lines: list[str] = []
        self._more = asyncio.Event()
        self._reading = asyncio.create_task(self._read())
        self._errors = asyncio.create_task(self._read_errors())

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self._lines.append(line.decode())
            self._more.set()
        self._more.set()  # nothing more will come

    async def _read_errors(self) -> bytes:
        assert self.process.stderr is not None
        return await self.process.stderr.read()

    async def event(self, kind: str, words: str = "", **fields: object) -> dict[str, Any]:
        """Wait for the first event of this kind with these fields and words. Raises TimeoutError."""
        seen = 0
        async with asyncio.timeout(60):
            while True:
                while seen < len(self._lines):
                    found: dict[str, Any] = json.loads(self._lines[seen])
                    seen += 1
                    fits = found["event"] == kind and fields.items() <= found.items()
                    if fits and words in found.get("text", ""):
                        return found
                assert not self._reading.done(), f"it ended without {kind} {fields}: {self._lines[-3:]}"
                self._more.clear()
                await self._more.wait()

    def signal(self, number: signal.Signals) -> None:
        send_signal(self.process, number)

    async def end(self) -> Run:
        code = await self.process.wait()
        await self._reading
        return Run(code, "".join(self._lines), (await self._errors).decode())


def send_signal(process: asyncio.subprocess.Process | Forked, number: signal.Signals) -> None:
    """Send it, if there still is one: `Process.send_signal` would reap it, and its exit code be lost."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(process.pid, number)


@asynccontextmanager
async def started(stack: Stack, *arguments: str, script: bool = False) -> AsyncIterator[Running]:
    """Start the real command with no terminal; a run that is still there at the end is killed.

    Args:
        stack: whose configuration it reads.
        arguments: of the command.
        script: start the installed script, Python and imports included, where a test is about the start.
    """
    arguments = ("--config", str(stack.config_path), *arguments)
    running = Running(await (execute if script else fork)(*arguments))
    try:
        yield running
    finally:
        if running.process.returncode is None:
            running.process.kill()
        await running.end()


async def rolldeck(stack: Stack, *arguments: str) -> Run:
    """Run the real command to its end."""
    async with started(stack, *arguments) as running:
        return await running.end()


async def into(place: str, stack: Stack, *arguments: str) -> tuple[int, str]:
    """Run `rolldeck` with its output redirected, such as `| head`; its exit code, and standard error."""
    process = await asyncio.create_subprocess_exec(
        *("/bin/bash", "-c", f'set -o pipefail; "$@" {place}', "sh", ROLLDECK),
        *("--config", str(stack.config_path)),
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    _, err = await process.communicate()
    return process.returncode or 0, err.decode()


def journalled(stack: Stack, entry: int = 1) -> list[dict[str, Any]]:
    """The events of a rollout that are in the journal by now; cheap, unlike `rolldeck history show`."""
    address = f"file:{stack.directory / 'journal.db'}?mode=ro"
    with contextlib.suppress(sqlite3.OperationalError):  # not there yet, or without its tables
        with contextlib.closing(sqlite3.connect(address, uri=True)) as journal:
            found = journal.execute("SELECT event FROM events WHERE entry = ? ORDER BY seq", (entry,))
            return [json.loads(event) for (event,) in found]
    return []


async def until_ended(stack: Stack, entry: int = 1, timeout: float = 60.0) -> dict[str, Any]:
    """Wait for the event with which a rollout has ended in the journal. Raises TimeoutError."""

    async def ended() -> bool:
        return any(event["event"] == "rollout_ended" for event in journalled(stack, entry))

    await until(ended, timeout)
    return next(event for event in journalled(stack, entry) if event["event"] == "rollout_ended")


async def upgrade(stack: Stack, version: str = NEW, *arguments: str) -> Run:
    """`rolldeck upgrade shop VERSION --yes --json`, with what else is given."""
    return await rolldeck(stack, "upgrade", "shop", version, "--yes", "--json", *arguments)


@dataclass(frozen=True, slots=True)
class State:
    """One server line of `show servers state`, as far as it is somebody's decision."""

    admin: int
    weight: int


async def states(stack: Stack, backend: str = "shop") -> dict[str, dict[str, State]]:
    """By load balancer and server name."""
    return {
        name: {
            row["srv_name"]: State(int(row["srv_admin_state"]), int(row["srv_uweight"]))
            for row in await _rows(instance.ask, backend)
        }
        for name, instance in stack.instances.items()
    }


async def admin_states(stack: Stack, backend: str = "shop") -> set[int]:
    """Every administrative state that any server has on any load balancer; {0} when all are ready."""
    return {
        server.admin for servers in (await states(stack, backend)).values() for server in servers.values()
    }


async def untouched(stack: Stack) -> dict[str, list[dict[str, str]]]:
    """All of `show servers state` that does not move by itself: neither age nor what checks do."""
    moving = ("srv_time_since_last_change", "srv_check_")
    return {
        name: [
            {key: value for key, value in row.items() if not key.startswith(moving)}
            for row in await _rows(instance.ask, "")
        ]
        for name, instance in stack.instances.items()
    }


async def _rows(ask: Callable[[str], Awaitable[str]], backend: str) -> list[dict[str, str]]:
    lines = (await ask(f"show servers state {backend}".rstrip())).strip().splitlines()
    names = lines[1].removeprefix("# ").split()
    return [dict(zip(names, line.split(), strict=False)) for line in lines[2:]]


async def say(stack: Stack, command: str, *instances: str) -> None:
    """Send what a human would send to these load balancers (all when none is named)."""
    for name in instances or stack.instances:
        reply = (await stack.instances[name].ask(command)).strip()
        assert not reply, f"{name}: {command}: {reply}"


async def edit_haproxy(stack: Stack, edit: Callable[[str], str]) -> None:
    """Change the configuration of every load balancer and restart it; does not wait for checks."""
    for instance in stack.instances.values():
        instance.file.write_text(edit(instance.file.read_text()))
        await restart_haproxy(instance)


async def statuses(stack: Stack, backend: str) -> dict[tuple[str, str], str]:
    """HAProxy's words for each server, by load balancer and name."""
    found = {}
    for name, instance in stack.instances.items():
        lines = (await instance.ask("show stat")).removeprefix("# ").splitlines()
        header = lines[0].split(",")
        for line in lines[1:]:
            row = dict(zip(header, line.split(","), strict=False))
            if row.get("pxname") == backend and row["svname"] not in ("FRONTEND", "BACKEND"):
                found[name, row["svname"]] = row["status"]
    return found


async def until_up(stack: Stack, *backends: str) -> None:
    """Wait until every server of these backends is in rotation on every load balancer."""

    async def up() -> bool:
        return all(
            [set((await statuses(stack, backend)).values()) <= {"UP", "no check"} for backend in backends]
        )

    await until(up)


async def versions(stack: Stack) -> Mapping[str, str | None]:
    """What each node itself answers."""
    return {name: await running_version(stack, name) for name in stack.nodes}


async def stop_load(load: Load, *, at_least: int = 20) -> Report:
    """Stop a load once it has had so many answers: what ran beside it may have taken half a second."""
    await until(lambda: _has_answers(load, at_least))
    return await load.stop()


async def _has_answers(load: Load, number: int) -> bool:
    return load.served.total() + load.failed.total() >= number


def assert_nothing_failed(report: Report, *, at_least: int = 1) -> None:
    """No request failed, and there were requests that could have."""
    assert not report.failures, report.failures[:5]
    assert report.total_failed == 0
    assert report.total_served >= at_least
