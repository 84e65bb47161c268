"""Containers by their names: engines also take the beginning of an id where a name is expected.

So `docker inspect fe` may answer of a container that is called otherwise, when none is called `fe`.
"""

import re

ABSENT = re.compile(r"no such (container|object)", re.IGNORECASE)
"""What engines say of a container that they do not have."""


def is_called(found: str, name: str) -> bool:
    """Whether the name that an engine shows is this one; Docker puts a slash before it."""
    return found.removeprefix("/") == name
