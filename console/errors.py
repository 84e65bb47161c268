"""The message and the exit code of every exception: no traceback reaches an operator."""

import io
import tempfile
import traceback
from collections.abc import Sequence

import click

from backends.errors import BackendError, ConfigError, RolldeckError
from backends.text import counted, visible_lines
from console.config.problems import MAX_ERRORS, ConfigErrors
from console.exit_codes import ExitCode
from console.terminal.output import clean, lose_results, paint, say
from orchestrator.errors import Aborted, Refusal

MAX_SHOWN_ERRORS = 50  # of a configuration


def report_error(error: BaseException) -> int:
    """Print what went wrong to standard error, and return the exit code."""
    match error:
        # click itself writes the help, to standard output.
        case OSError() if _raising_module(error) == "click.utils":
            lose_results(error)
            return ExitCode.DEGRADED
        case SystemExit(code=code):
            return code if isinstance(code, int) else ExitCode.DEFECT
        case click.exceptions.Exit(exit_code=code):
            return code
        case click.ClickException():
            _say_usage_error(error)
            return ExitCode.USAGE
        case click.Abort() | KeyboardInterrupt() | Aborted():
            _say_error(str(error) if isinstance(error, Aborted) else "aborted")
            return ExitCode.ABORTED
        case Refusal():
            _say_error(f"refused, no changes made: {error}")
            return ExitCode.REFUSED
        case ConfigErrors(errors=errors):
            _say_config_errors(errors)
            return ExitCode.USAGE
        case ConfigError():
            _say_error(str(error))
            return ExitCode.USAGE
        case BackendError() | RolldeckError():
            _say_error(str(error))
            return ExitCode.DEGRADED
    return _report_defect(error)


def _say_usage_error(error: click.ClickException) -> None:
    message = io.StringIO()
    error.show(message)
    for line in message.getvalue().splitlines():
        say(line)


def _say_config_errors(errors: Sequence[ConfigError]) -> None:
    for error in errors[:MAX_SHOWN_ERRORS]:
        _say_error(str(error))
    more = f", of which the first {MAX_SHOWN_ERRORS} are shown" if len(errors) > MAX_SHOWN_ERRORS else ""
    least = "at least " if len(errors) >= MAX_ERRORS else ""
    _say_error(f"{least}{counted(len(errors), 'error')} in {errors[0].file}{more}")


def _raising_module(error: BaseException) -> str:
    """Return the name of the module that raised the error."""
    frames = list(traceback.walk_tb(error.__traceback__))
    return str(frames[-1][0].f_globals.get("__name__", "")) if frames else ""


def _say_error(text: str) -> None:
    say(f"{paint('rolldeck:', 'bad')} {clean(text)}")


def _report_defect(error: BaseException) -> ExitCode:
    details = _write_traceback(error)
    _say_error(f"bug in Rolldeck, please report: {type(error).__name__}: {error}; details {details}")
    _say_error("which nodes are in rotation is unknown; check with `rolldeck status`")
    return ExitCode.DEFECT


def _write_traceback(error: BaseException) -> str:
    """Write the traceback to a file, without locals, which could hold secrets, and say where it is."""
    text = visible_lines("".join(traceback.format_exception(error))).encode()
    try:
        with tempfile.NamedTemporaryFile(prefix="rolldeck-defect-", suffix=".txt", delete=False) as report:
            report.write(text)
    except OSError as second:
        return f"could not be written: {second.strerror}"
    return f"in {report.name}"
