"""Process ids, as service managers and pid files say them."""

import re

_PID = re.compile(r"0*([1-9][0-9]{0,9})")  # Linux has none of more than seven digits


def parse_pid(text: str) -> int | None:
    """The process id in the first line of a text; None when there is none."""
    match = _PID.fullmatch(text.strip().split("\n", 1)[0].strip())
    return int(match[1]) if match else None
