"""Settings for all tests: where servers are found, their own state folder, and a list of skipped tests."""

import asyncio
import contextlib
import gc
import importlib
import itertools
import os
import signal
import tempfile
from asyncio import AbstractEventLoop
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support.virtual_time import VirtualLoop

# Where tests/get-servers puts Consul; last, so that an installed one is preferred.
os.environ["PATH"] = f"{os.environ.get('PATH', os.defpath)}:{Path.home() / '.cache/consul'}"

# `rolldeck` is started a thousand times: with its modules compiled once, each start costs half of the CPU.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# A shell starts what has `&` with SIGINT ignored, and `nohup` ignores SIGHUP: all servers and programs of the
# tests would inherit that. A handler is not inherited, and this one leaves the tests themselves as they are.
for _number in (signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, lambda *_: None)

settings.register_profile("no clock", deadline=None)  # a busy machine is slow, and that is no failure
settings.load_profile("no clock")


# Python looks for cycles among all that Textual and the servers keep: a tenth of the CPU of the tests.
gc.set_threshold(50_000)

_LONGEST_FIRST = ("integration", "faults", "console", "fuzz", "unit")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest: at the end no worker is left alone with one of them."""
    places = {name: at for at, name in enumerate(_LONGEST_FIRST)}
    items.sort(key=lambda item: places.get(item.nodeid.split("/", 2)[1], -1))


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    """Let each worker begin to import with another file: in a new clone each of them compiles its share.

    Otherwise all workers would compile the same file at the same time, each for itself.
    """
    worker = getattr(session.config, "workerinput", None)
    if worker is None:
        return
    root = session.config.rootpath
    given = {root / argument.split("::")[0] for argument in session.config.args}
    files = sorted(file for path in given for file in path.rglob("test_*.py"))
    start = len(files) * int(worker["workerid"].removeprefix("gw")) // worker["workercount"]
    for file in files[start:] + files[:start]:
        # pytest imports what fails here again, and reports it.
        with contextlib.suppress(Exception, pytest.skip.Exception):
            importlib.import_module(".".join(file.relative_to(root).with_suffix("").parts))


@pytest.fixture(scope="session")
def _state_folders() -> Iterator[Iterator[str]]:
    """Paths that are not there yet: most tests write nothing, and making and removing a folder takes time."""
    with tempfile.TemporaryDirectory(prefix="rolldeck-state-") as folder:
        yield (f"{folder}/{number}" for number in itertools.count())


@pytest.fixture(autouse=True)
def _state_of_its_own(monkeypatch: pytest.MonkeyPatch, _state_folders: Iterator[str]) -> None:
    """What one test leaves unfinished in the journal is not for the next one."""
    monkeypatch.setenv("XDG_STATE_HOME", next(_state_folders))


@pytest.fixture(autouse=True)
def _signals_as_before() -> Iterator[None]:
    """Give back what a test has done to signals: ignored ones would be so in every server started later."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say as the last lines how many tests did not run, and why."""
    reasons = Counter(_skip_reason(report) for report in terminalreporter.stats.get("skipped", []))
    if reasons:
        terminalreporter.write_sep("=", f"{reasons.total()} tests did not run")
        for reason, count in reasons.most_common():
            terminalreporter.write_line(f"{count:4}  {reason}")


def _skip_reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return text.removeprefix("Skipped: ")


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, Callable[[], AbstractEventLoop]]:
    """Tests marked `virtual_time` run on a loop whose time jumps to the next timer."""
    if item.get_closest_marker("virtual_time"):
        return {"virtual": VirtualLoop}
    return {"real": asyncio.new_event_loop}
