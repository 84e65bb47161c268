"""What identifies a process of this machine, and whether it still runs, whatever the clock says."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from backends import local_processes
from backends.local_processes import identify_process, is_process_running
from tests.support.wait import until

LONG_AGO = 1e6  # seconds since 1970: before every process


@pytest.fixture
def processes() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Two processes that run."""
    found = [subprocess.Popen(["sleep", "600"]) for _ in range(2)]
    yield found
    for process in found:
        process.kill()
        process.wait()


async def test_a_process_is_known_from_its_start_to_its_end(processes: list[subprocess.Popen[bytes]]) -> None:
    first, second = processes
    process = identify_process(first.pid)
    assert process == identify_process(first.pid)
    assert is_process_running(first.pid, process, LONG_AGO)
    assert not is_process_running(second.pid, f"{process}0", time.time()), "another one with its number"
    first.kill()
    await until(lambda: not is_process_running(first.pid, process, time.time()))  # nobody has reaped it
    assert identify_process(first.pid) == ""
    first.wait()
    assert not is_process_running(first.pid, process, time.time())


@pytest.mark.parametrize("missing", ["_read_fields", "identify_machine"])
def test_a_process_of_which_nothing_can_be_read_is_not_gone(
    missing: str, processes: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with /proc mounted with hidepid, or no /proc at all."""
    process = processes[0].pid
    identity = identify_process(process)
    monkeypatch.setattr(local_processes, missing, lambda *_: "")
    assert is_process_running(process, identity, time.time())
    if missing == "_read_fields":
        assert not is_process_running(process, f"other boot {identity}", time.time())


def test_without_an_identity_its_start_by_the_clock_decides(processes: list[subprocess.Popen[bytes]]) -> None:
    assert is_process_running(processes[0].pid, "", time.time())
    assert not is_process_running(processes[0].pid, "", time.time() - 3600)


def test_a_name_with_parentheses_confuses_nobody(tmp_path: Path) -> None:
    program = tmp_path / "a) Z 1 ("
    program.symlink_to("/bin/sleep")
    with subprocess.Popen([program, "600"]) as process:
        assert is_process_running(process.pid, identify_process(process.pid), LONG_AGO)
        process.kill()
