"""Requirements of tests that a machine may not meet."""

import os
import shutil
from collections.abc import Sequence


def missing_as_root(programs: Sequence[str]) -> str:
    """Why something that needs root and these programs cannot be done here; empty when it can."""
    lacking = [program for program in programs if shutil.which(program) is None]
    if lacking or os.geteuid() != 0:
        return f"needs root, and {', '.join(lacking or programs)}"
    return ""
