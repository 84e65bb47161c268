"""The script `rolldeck`: owns the exit code, and turns every known error into one clear line."""

import gc
import io
import logging
import os
import sys

from console.exit_codes import ExitCode
from console.interrupts import interrupts
from console.terminal.background_writer import write_in_background

_GARBAGE = 50_000  # new objects until Python looks for cycles; at its own 700 that takes a seventh of the CPU


class _Said(logging.Handler):
    """Says what libraries warn of: by itself Python makes them wait for standard error, with tracebacks."""

    def emit(self, record: logging.LogRecord) -> None:
        from console.terminal.output import clean, say

        error = record.exc_info[1] if record.exc_info else None
        text = record.getMessage().partition("\n")[0] + (f": {error!r}" if error else "")
        say(f"rolldeck: {record.name}: {clean(text)}")


def main() -> None:
    """Run the command line. Everything else is imported once signals are caught: that takes a while."""
    interrupts.catch()
    gc.set_threshold(_GARBAGE)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # An arrow that the locale does not know is no reason to end a rollout half way.
            stream.reconfigure(errors="backslashreplace")
    logging.lastResort = _Said(logging.WARNING)
    with write_in_background(lambda: interrupts.late) as writer:
        # All that it takes to say how it ended: a signal amid an import leaves half a module for good.
        from console.command_line import cli
        from console.errors import report_error
        from console.terminal.output import results_lost

        try:
            interrupts.begin()
            code = cli.main(standalone_mode=False, prog_name="rolldeck")
        except BaseException as error:
            interrupts.end()
            code = report_error(error)
    interrupts.ignore()
    code = code if isinstance(code, int) else ExitCode.HEALTHY
    if code == ExitCode.HEALTHY and results_lost():
        code = ExitCode.DEGRADED
    if not writer.finished:
        # Python's own end would wait for the streams that the writer still holds.
        logging.shutdown()
        os._exit(code)
    gc.freeze()  # else Python's own end searches through all that there is
    sys.exit(code)
