"""Exit codes: 0 is healthy; every other one comes with words on what is out of rotation."""

import enum


class ExitCode(enum.IntEnum):
    """What `rolldeck` exits with."""

    HEALTHY = 0  # done; everything that belongs there is in rotation
    DEGRADED = 1  # stopped by a failure, or something is not in rotation, or cannot be read or written
    USAGE = 2  # the command line or the configuration is wrong; no changes made
    REFUSED = 3  # preflight or the capacity guard said no; no changes made
    ABORTED = 4  # ended by a person or a signal
    DEFECT = 70  # a defect in Rolldeck itself (EX_SOFTWARE of sysexits.h)
