"""Without a locale for arrows and dots, only these are replaced."""

import os
import subprocess
import sys
from pathlib import Path

ROLLDECK = str(Path(sys.executable).with_name("rolldeck"))


def test_output_that_the_locale_cannot_say_is_escaped() -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "iso8859-5"}
    run = subprocess.run([ROLLDECK, "--help"], capture_output=True, env=environment, check=False)
    assert run.returncode == 0, run.stderr
    assert rb"Exit codes: 0 healthy \xb7 1 stopped" in run.stdout
