"""The script `rolldeck`: owns the exit code, and turns every known error into one clear line."""

import io
import logging
import os
import sys

from console.exits import Exit
from console.interrupts import interrupts
from console.output.background import in_background


def main() -> None:
    """Run the command line. Everything else is imported once signals are caught: that takes a while."""
    interrupts.catch()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # An arrow that the locale does not know is no reason to end a rollout half way.
            stream.reconfigure(errors="backslashreplace")
    with in_background() as writer:
        try:
            interrupts.begin()
            from console.command_line import cli

            code = cli.main(standalone_mode=False, prog_name="rolldeck")
        except BaseException as error:
            interrupts.end()
            from console.failures import explain

            code = explain(error)
    interrupts.ignore()
    code = code if isinstance(code, int) else Exit.HEALTHY
    if not writer.finished:
        # Python's own end would wait for the streams that the writer still holds.
        logging.shutdown()
        os._exit(code)
    sys.exit(code)
