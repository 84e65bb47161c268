"""From an exception to words and an exit code; no traceback reaches an operator."""

import stat
from pathlib import Path

import click
import pytest

from backends.errors import BackendError, ConfigError, RolldeckError, Unreachable
from console.errors import report_error
from console.exit_codes import ExitCode
from orchestrator.errors import Aborted, StepFailed
from orchestrator.planning.capacity import Capacity, CapacityViolation
from orchestrator.planning.findings import Finding, PreflightFailed, Severity
from tests.support.console_values import HOSTILE, harmless

FULL = Capacity(instance="lb1", backend="shop", before=2, after=1, floor=2, traffic_servers_removed=1)
MISSING = Finding(Severity.ERROR, "web9", "is not registered")


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (SystemExit(0), 0, ""),
        (SystemExit(3), 3, ""),
        (click.exceptions.Exit(0), 0, ""),
        (click.UsageError("no such thing"), ExitCode.USAGE, "Error: no such thing"),
        (click.Abort(), ExitCode.ABORTED, "rolldeck: aborted"),
        (KeyboardInterrupt(), ExitCode.ABORTED, "rolldeck: aborted"),
        (Aborted("aborted by ann"), ExitCode.ABORTED, "rolldeck: aborted by ann"),
        (ConfigError("f", "apps.shop", "missing"), ExitCode.USAGE, "rolldeck: f: apps.shop: missing"),
        (PreflightFailed((MISSING,)), ExitCode.REFUSED, "no changes made: web9: is not registered"),
        (CapacityViolation((FULL,)), ExitCode.REFUSED, "shop on lb1: in rotation 2 → 1, floor 2"),
        (Unreachable("lb1", "refused"), ExitCode.DEGRADED, "rolldeck: lb1: refused"),
        (BackendError("lb1", "odd"), ExitCode.DEGRADED, "rolldeck: lb1: odd"),
        (StepFailed("web1 is not healthy"), ExitCode.DEGRADED, "rolldeck: web1 is not healthy"),
        (RolldeckError("odd"), ExitCode.DEGRADED, "rolldeck: odd"),
    ],
)
def test_known_errors(
    error: BaseException, code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report_error(error) == code
    out, said = capsys.readouterr()
    assert out == ""
    assert words in said
    assert "Traceback" not in said


@pytest.mark.parametrize("said", HOSTILE)
def test_an_error_is_one_harmless_line(said: str, capsys: pytest.CaptureFixture[str]) -> None:
    report_error(Unreachable("lb1", said))
    [line] = capsys.readouterr().err.splitlines()
    assert harmless(line)


def _fail(password: str) -> None:
    raise ZeroDivisionError(f"{len(password)} things\nwent wrong")


def test_a_defect_has_a_report_without_locals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(ZeroDivisionError) as caught:
        _fail("hunter2")
    assert report_error(caught.value) == 70
    [report] = tmp_path.iterdir()
    first, second = capsys.readouterr().err.splitlines()
    expected = f"bug in Rolldeck, please report: ZeroDivisionError: 7 things went wrong; details in {report}"
    assert first == f"rolldeck: {expected}"
    assert "`rolldeck status`" in second
    text = report.read_text()
    assert "Traceback" in text
    assert "hunter2" not in text.replace('_fail("hunter2")', "")  # the line of the source, not a value
    assert stat.S_IMODE(report.stat().st_mode) == 0o600


def test_a_defect_is_told_also_when_its_report_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    assert report_error(ZeroDivisionError("\ud800")) == ExitCode.DEFECT
    assert "details could not be written: No such file or directory" in capsys.readouterr().err


def test_a_group_of_errors_is_a_defect_with_all_of_them_in_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    group = ExceptionGroup("two", [ValueError("one thing"), KeyError("another")])
    assert report_error(group) == ExitCode.DEFECT
    [report] = tmp_path.iterdir()
    assert "one thing" in report.read_text()
    assert "another" in report.read_text()
