"""The exit codes. Each but 0 comes with a message; after work on nodes it names those out of rotation."""

import enum


class ExitCode(enum.IntEnum):
    """An exit code of `rolldeck`."""

    HEALTHY = 0  # done; all nodes that belong in rotation are in it
    DEGRADED = 1  # stopped by a failure, or something is not in rotation, or cannot be read or written
    USAGE = 2  # the command line or the configuration is wrong; no changes made
    REFUSED = 3  # refused by preflight, a freeze window, a lock or the capacity floor; no changes made
    ABORTED = 4  # ended by the operator or a signal
    DEFECT = 70  # a bug in Rolldeck itself (EX_SOFTWARE of sysexits.h)
