"""`rolldeck` without the start of Python: processes that are forked from one that has imported everything.

The tests start the command a thousand times, and up to half of the CPU of each run is Python's own start and
the imports. One server for each worker, started when it is first asked, has done both; each command is a fork
of it with streams, arguments, folder and environment of its own. It is a process like any other: `main` runs
from its first line to its exit code, and signals reach it as they do elsewhere. The terminals of the tests,
early signals and whatever else is about the start or the end itself run the installed script.
"""

import asyncio
import atexit
import contextlib
import functools
import gc
import importlib
import io
import json
import locale
import os
import pkgutil
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryFile

import console

SCRIPT = str(Path(sys.executable).with_name("rolldeck"))
_PACKAGES = ("console.commands", "console.config", "orchestrator", "backends")
_IMPORTED_LATE = ("httpx", "httpcore", "anyio._backends._asyncio", "consul", "jinja2", "yaml")
"""What these import where they need it: half of the CPU of a run that does."""
_LARGEST = 1 << 20  # bytes of a request, which are arguments and environment, and of a line of output
_NOTHING = os.open(os.devnull, os.O_RDONLY)


class Forked:
    """One that runs; as much of `asyncio.subprocess.Process` as the tests use."""

    def __init__(self, pid: int, status: socket.socket, streams: Sequence[asyncio.StreamReader]) -> None:
        self.pid = pid
        self.stdout, self.stderr = streams
        self.returncode: int | None = None
        self._status = status
        self._ending = asyncio.create_task(self._end())

    async def _end(self) -> int:
        with self._status:
            reply = await asyncio.get_running_loop().sock_recv(self._status, 64)
        self.returncode = int(reply)
        return self.returncode

    async def wait(self) -> int:
        return await asyncio.shield(self._ending)

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


async def fork(*arguments: str, stdin: int | None = None) -> Forked:
    """Start `rolldeck` with these arguments, in this folder and environment, its output into pipes.

    Args:
        arguments: without the name of the command.
        stdin: an open file; nothing can be read when it is not given.
    """
    pipes = [os.pipe(), os.pipe()]
    theirs = [writing for _, writing in pipes]
    source = _NOTHING if stdin is None else stdin
    status = _request(arguments, Path.cwd(), os.environ, [source, *theirs])
    for file in theirs:
        os.close(file)
    readers = [await _reader(reading) for reading, _ in pipes]
    status.setblocking(False)
    pid = int(await asyncio.get_running_loop().sock_recv(status, 64))
    return Forked(pid, status, readers)


def run(
    arguments: Sequence[str], folder: Path, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run `rolldeck` to its end, without a loop, as `subprocess.run` would. Raises TimeoutError."""
    with TemporaryFile() as out, TemporaryFile() as err:
        streams = [_NOTHING, out.fileno(), err.fileno()]
        with _request(arguments, folder, environment, streams) as status:
            status.settimeout(60)
            pid = int(status.recv(64))
            try:
                code = int(status.recv(64))
            except TimeoutError:
                os.kill(pid, signal.SIGKILL)
                raise
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode())
    return subprocess.CompletedProcess([SCRIPT, *arguments], code, *texts)


def _request(
    arguments: Sequence[str], folder: Path, environment: Mapping[str, str], streams: Sequence[int]
) -> socket.socket:
    """Ask for a fork; what is returned says first its process id, and at its end its exit code."""
    request = {"arguments": arguments, "folder": str(folder), "environment": dict(environment)}
    status, reported = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with reported:
        socket.send_fds(_server(), [json.dumps(request).encode()], [*streams, reported.fileno()])
    return status


async def execute(*arguments: str) -> asyncio.subprocess.Process:
    """Start the installed script itself, its output into pipes."""
    return await asyncio.create_subprocess_exec(
        *(SCRIPT, *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=_LARGEST,
    )


async def _reader(file: int) -> asyncio.StreamReader:
    reader = asyncio.StreamReader(_LARGEST)
    pipe = os.fdopen(file, "rb", 0)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    return reader


@functools.cache
def _server() -> socket.socket:
    """The connection to this worker's server, which ends with it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _LARGEST)
    command = [sys.executable, "-m", "tests.support.forks"]
    with theirs:
        server = subprocess.Popen(command, stdin=theirs.fileno(), cwd=Path(__file__).parents[2])

    def end() -> None:
        ours.close()
        server.wait()

    atexit.register(end)
    return ours


class _Server:
    """Forks for each request, and reports how each fork has ended."""

    def __init__(self) -> None:
        self._requests = socket.socket(fileno=0)
        self._running: dict[int, tuple[int, int]] = {}  # by pidfd: process id, and where to report
        self._poll = select.poll()
        self._poll.register(0, select.POLLIN)

    def serve(self) -> Mapping[str, object] | None:
        """Returns in each fork with what is to be run there, and with None when nobody asks any more."""
        while True:
            for file, _ in self._poll.poll():
                if file:
                    self._reap(file)
                elif (request := self._accept()) is None or "folder" in request:
                    return request

    def _accept(self) -> Mapping[str, object] | None:
        """None at the end, and nothing in the server itself."""
        message, files, _, _ = socket.recv_fds(self._requests, _LARGEST, 4)
        if not message:
            return None
        if (pid := os.fork()) == 0:
            self._requests.detach()
            for number, file in enumerate(files[:3]):
                os.dup2(file, number)
            os.closerange(3, 1 << 20)
            found: Mapping[str, object] = json.loads(message)
            return found
        *streams, report = files
        for file in streams:
            os.close(file)
        os.write(report, str(pid).encode())
        watched = os.pidfd_open(pid)
        self._running[watched] = pid, report
        self._poll.register(watched, select.POLLIN)
        return {}

    def _reap(self, watched: int) -> None:
        pid, report = self._running.pop(watched)
        self._poll.unregister(watched)
        _, status = os.waitpid(pid, 0)
        with contextlib.suppress(OSError):  # whoever started it may be gone
            os.write(report, str(os.waitstatus_to_exitcode(status)).encode())
        os.close(watched)
        os.close(report)


def _import_everything() -> None:
    for name in _PACKAGES:
        package = importlib.import_module(name)
        for module in pkgutil.walk_packages(package.__path__, f"{name}."):
            importlib.import_module(module.name)
    for module in pkgutil.iter_modules(console.__path__, "console."):
        if not module.ispkg:
            importlib.import_module(module.name)
    for name in _IMPORTED_LATE:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()


def _become(request: Mapping[str, object]) -> None:
    """Everything that a process has of its own from its start on."""
    arguments, environment = request["arguments"], request["environment"]
    assert isinstance(arguments, list)
    assert isinstance(environment, dict)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    os.chdir(str(request["folder"]))
    sys.argv = [SCRIPT, *arguments]
    sys.stdin, sys.stdout, sys.stderr = _text(0, "r"), _text(1, "w"), _text(2, "w")


def _text(file: int, mode: str) -> io.TextIOWrapper:
    stream = open(file, mode, encoding=locale.getpreferredencoding(False), closefd=False)
    assert isinstance(stream, io.TextIOWrapper)
    if mode == "w":
        stream.reconfigure(line_buffering=file == 2 or stream.isatty())
    return stream


def _end(code: int) -> None:
    """End as the interpreter does, but leave the memory to the kernel: taking it apart takes longest.

    Returns when the interpreter has to do it, as something cannot be written.
    """
    threading._shutdown()  # type: ignore[attr-defined] # what it calls first, too
    atexit._run_exitfuncs()
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    _import_everything()
    if (found := _Server().serve()) is not None:
        _become(found)
        from console.cli import main

        try:
            main()
        except SystemExit as ended:
            if isinstance(ended.code, int):
                _end(ended.code)
            raise
