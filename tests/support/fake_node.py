"""A fake node: a service with a manager, versions on disk and running, and faults on demand.

Real nodes are for the integration tests; this one is for the faults and the hours they will not give.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

from backends.command import Command, CommandResult
from backends.errors import Refused, Unreachable
from backends.node_state import THERE, Activity, Availability, HealthResult, LogSource, ServiceState
from backends.output_stream import OutputStream, Pipes
from backends.shell import LocalShell, Shell
from tests.support.fake_faults import Faults

_PIDS = itertools.count(1000)


class FakeNode:
    """One machine with one application. Everything observable is an attribute, and times are seconds."""

    def __init__(self, name: str, version: str = "1.0") -> None:
        self.name = name
        self.faults = Faults()
        self.asked: list[str] = []  # everything that changes something, in order
        self.on_asked: Callable[[str], None] = lambda what: None
        self.installed: str | None = version
        self.running: str | None = version
        self.pid: int | None = next(_PIDS)
        self.port_open = True
        self.processes: set[int] = {self.pid}
        self.activity = Activity.RUNNING
        self.healthy = True
        self.flaps: list[bool] = []  # answers of the next looks at its health, then `healthy`
        # How it behaves
        self.stop_delay = 0.3
        self.linger = 0.2  # the process outlives its port
        self.start_delay = 2.0
        self.ignores_stop = False  # the manager says "stopped", and the process goes on
        self.lies_about_start = False  # the manager says "running", and nothing is there
        self.sick: frozenset[str] = frozenset()  # versions that start but are never healthy
        self.installs: str | None = None  # what the installer really brings
        self.runs: str | None = None  # what really starts, whatever is on disk
        self.retrying = False  # its manager says that it has died, and is started again
        self.stopping = False  # its manager says that it is being stopped
        self.version_shown = True
        self.has_prefetch = False
        self.availabilities: dict[str, Availability] = {}  # of versions that are not simply there
        self.versions: tuple[str, ...] | None = None  # that its installer lists
        self.unwatched = ""  # why its manager does nothing for it
        self.obstacles: tuple[str, ...] = ()  # why its manager could not stop or start it
        self.caveats: tuple[str, ...] = ()  # what its manager cannot know
        self.self_checked = False  # its manager checks its health
        self.own_check = ""  # what that check has against it
        self.last_lines: tuple[str, ...] = ()  # that its manager has of the service
        self.log = FakeLog()

    @property
    def serving(self) -> bool:
        """Would answer a request, and a health check of HAProxy, well."""
        return self.port_open and self.healthy and self.running not in self.sick

    # -- what happens -------------------------------------------------------------------------

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        self.on_asked(what)

    def stop(self) -> None:
        self._ask("stop")
        if self.ignores_stop:
            self.activity = Activity.STOPPED
            return
        self.activity = Activity.CHANGING
        asyncio.get_running_loop().call_later(self.stop_delay, self._close)

    def _close(self) -> None:
        self.port_open, self.activity = False, Activity.STOPPED
        asyncio.get_running_loop().call_later(self.linger, self._vanish, self.pid)
        self.pid = None

    def _vanish(self, pid: int | None) -> None:
        if pid is not None:
            self.processes.discard(pid)
        if self.pid is None:
            self.running = None

    def start(self) -> None:
        self._ask("start")
        self.activity = Activity.RUNNING
        if not self.lies_about_start:
            self.pid = next(_PIDS)
            self.processes.add(self.pid)
            asyncio.get_running_loop().call_later(self.start_delay, self._open, self.pid)

    def _open(self, pid: int) -> None:
        if pid == self.pid:
            self.port_open, self.running = True, self.runs or self.installed

    def die(self, activity: Activity) -> None:
        """It ends by itself; its manager says this of it, and its process id as long as that is "running"."""
        self.port_open, self.activity, self.running = False, activity, None
        self.processes.clear()

    def install(self, version: str) -> None:
        self._ask(f"install {version}")
        self.installed = self.installs or version

    def prefetch(self, version: str) -> None:
        self._ask(f"prefetch {version}")

    def available(self, version: str) -> Availability:
        return self.availabilities.get(version, THERE)

    def look(self) -> HealthResult:
        healthy = self.flaps.pop(0) if self.flaps else self.healthy and self.running not in self.sick
        if not self.port_open:
            return HealthResult(False, "connection refused")
        version = self.running if self.version_shown else None
        return HealthResult(healthy, "200 OK" if healthy else "503", version if healthy else None)


class FakeHost:
    """Implements `Host` as far as the orchestrator uses it."""

    def __init__(self, node: FakeNode) -> None:
        self._node = node
        self.name = node.name

    @property
    def node(self) -> FakeNode:
        return self._node

    def render(self, command: Command) -> str:
        return " ".join(command.argv)

    async def connect(self) -> None:
        await self._node.faults.around("connect", lambda: None)

    async def alive(self, pid: int, started: int = 0) -> bool:
        return await self._node.faults.around("alive", lambda: pid in self._node.processes)

    async def run(
        self, command: Command, *, timeout: float = 30.0, track: bool = False, record: bool = True
    ) -> CommandResult:
        raise Refused(self.name, "the orchestrator runs nothing by itself")

    async def sudo_refusal(self, command: Command, *, track: bool = False) -> str:
        return ""

    async def read_file(self, path: str, most_bytes: int) -> str:
        raise Refused(self.name, "no such file")

    async def open_unix(
        self, path: str, *, timeout: float = 10.0
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        raise Unreachable(self.name, "no such socket")

    @asynccontextmanager
    async def stream(self, command: Command) -> AsyncIterator[OutputStream]:
        stream = OutputStream()
        pumping = asyncio.create_task(stream.pump(self._node.log.pipes()))
        try:
            yield stream
        finally:
            pumping.cancel()

    @asynccontextmanager
    async def open_shell(self, term: str, columns: int, rows: int) -> AsyncIterator[Shell]:
        yield LocalShell(("true",), {})

    async def close(self) -> None: ...


class FakeLog:
    """The log of a service: what is written is read by whoever follows it."""

    def __init__(self) -> None:
        self._written: list[bytes] = []
        self._news = asyncio.Event()
        self._cut = 0  # how often it was ended

    def write(self, *lines: str) -> None:
        """Write lines; binary ones may have any character up to U+00FF."""
        self._written += [f"{line}\n".encode() for line in lines]
        self._news.set()

    def end(self) -> None:
        """End whatever reads it now, as a container's end does."""
        self._cut += 1
        self._news.set()

    def pipes(self) -> Pipes:
        """Return the pipes of a command that prints and follows it."""
        at, cut = 0, self._cut

        async def read(most_bytes: int) -> bytes:
            nonlocal at
            while at == len(self._written) and cut == self._cut:
                self._news.clear()
                await self._news.wait()
            found, at = b"".join(self._written[at:]), len(self._written)
            return found if cut == self._cut else b""

        async def wait() -> int:
            return 0

        return Pipes((read,), wait)


class FakeService:
    """Implements `ServiceManager`."""

    def __init__(self, node: FakeNode) -> None:
        self._node = node

    def stop_command(self) -> Command:
        return Command(("svc", "stop"))

    def start_command(self) -> Command:
        return Command(("svc", "start"))

    async def state(self) -> ServiceState:
        def look() -> ServiceState:
            known = None if self._node.activity is Activity.STOPPED else self._node.pid
            own = self._node
            activity, said = own.activity, str(own.activity)
            if own.own_check and activity is Activity.RUNNING:
                activity, said = Activity.CHANGING, f"running, {own.own_check}"
            return ServiceState(
                activity, known, said, own.retrying, own.unwatched, own.stopping, own.self_checked
            )

        return await self._node.faults.around("state", look)

    async def obstacles(self) -> tuple[str, ...]:
        return await self._node.faults.around("obstacles", lambda: self._node.obstacles)

    async def caveats(self) -> tuple[str, ...]:
        return await self._node.faults.around("caveats", lambda: self._node.caveats)

    async def last_lines(self) -> tuple[str, ...]:
        return await self._node.faults.around("last_lines", lambda: self._node.last_lines)

    async def log_source(self, lines: int, *, follow: bool) -> LogSource:
        source = LogSource("journal of shop.service", Command(("journalctl",)), ends=not follow)
        return await self._node.faults.around("log_source", lambda: source)

    async def stop(self) -> None:
        await self._node.faults.around("stop", self._node.stop)

    async def start(self) -> None:
        await self._node.faults.around("start", self._node.start)


class FakePort:
    """Implements `PortProbe`."""

    def __init__(self, node: FakeNode) -> None:
        self._node = node

    async def is_open(self) -> bool:
        return await self._node.faults.around("port", lambda: self._node.port_open)


class FakeInstaller:
    """Implements `Installer`."""

    def __init__(self, node: FakeNode) -> None:
        self._node = node
        self.host = FakeHost(node)

    def install_commands(self, version: str) -> tuple[Command, ...]:
        return (Command(("get", version)),)

    def undo_commands(self, version: str) -> tuple[Command, ...]:
        return ()

    def prefetch_commands(self, version: str) -> tuple[Command, ...]:
        return (Command(("fetch", version)),) if self._node.has_prefetch else ()

    async def installed(self) -> str | None:
        return await self._node.faults.around("installed", lambda: self._node.installed)

    async def check_availability(self, version: str) -> Availability:
        return await self._node.faults.around("availability", lambda: self._node.available(version))

    async def versions(self) -> tuple[str, ...] | None:
        return await self._node.faults.around("versions", lambda: self._node.versions)

    async def install(self, version: str) -> None:
        await self._node.faults.around("install", lambda: self._node.install(version))

    async def prefetch(self, version: str) -> None:
        await self._node.faults.around("prefetch", lambda: self._node.prefetch(version))


class FakeHealth:
    """Implements `HealthCheck`."""

    def __init__(self, node: FakeNode) -> None:
        self._node = node

    async def check(self) -> HealthResult:
        return await self._node.faults.around("health", self._node.look)

    async def read_version(self) -> str | None:
        return (await self.check()).version


def names(nodes: Iterable[FakeNode]) -> list[str]:
    return [node.name for node in nodes]
