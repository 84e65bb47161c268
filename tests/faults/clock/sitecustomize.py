"""Python loads this at its start where `PYTHONPATH` leads here: the time of day is as a file says.

The file named by `ROLLDECK_TEST_CLOCK` has the seconds by which it is off; without the file it is right. The
monotonic clock stays as it is: no one can set that.
"""

import os
import time

_true = time.time
_file = os.environ["ROLLDECK_TEST_CLOCK"]


def _time() -> float:
    try:
        with open(_file, encoding="ascii") as off:
            return _true() + float(off.read() or 0)
    except OSError:
        return _true()


time.time = _time
