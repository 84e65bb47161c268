"""The entry point of `rolldeck`, which owns the exit code and turns every known error into one clear line."""

import gc
import io
import logging
import os
import sys

from console.exit_codes import ExitCode
from console.interrupts import interrupts
from console.terminal.background_writer import write_in_background

_GC_THRESHOLD = 50_000  # new objects until Python looks for cycles; its own 700 cost a seventh of the CPU


class _WarningHandler(logging.Handler):
    """Logging handler that prints warnings of libraries through the background writer, without tracebacks."""

    def emit(self, record: logging.LogRecord) -> None:
        from console.terminal.output import clean, say

        error = record.exc_info[1] if record.exc_info else None
        text = record.getMessage().partition("\n")[0] + (f": {error!r}" if error else "")
        say(f"rolldeck: {record.name}: {clean(text)}")


def main() -> None:
    """Run the command line. All other imports wait until signals are caught, because they take a while."""
    interrupts.catch()
    gc.set_threshold(_GC_THRESHOLD)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # An arrow that the locale cannot encode is no reason to end a rollout halfway.
            stream.reconfigure(errors="backslashreplace")
    logging.lastResort = _WarningHandler(logging.WARNING)
    with write_in_background(lambda: interrupts.late) as writer:
        # Everything that the final message needs: a signal during an import leaves half a module behind.
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
    if not writer.finished or interrupts.unclosed:
        # Python's normal exit would wait for the streams that the writer still holds, and for the log.
        if not interrupts.unclosed:
            logging.shutdown()
        os._exit(code)
    gc.freeze()  # or Python would search all objects for cycles at its exit
    sys.exit(code)
