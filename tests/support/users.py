"""Other users, for tests of what they may do to our files; these tests need root."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

MALLORY = 54_321  # a user id that nobody has
OPS = 54_322  # a group id that nobody has

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files of another user")


def give(path: Path, user: int, group: int | None = None) -> Path:
    """Make this user its owner; of a link the link's."""
    os.chown(path, user, user if group is None else group, follow_symlinks=False)
    return path


@contextmanager
def become(user: int, *groups: int) -> Iterator[None]:
    """Do what is inside as this user, a member of these groups too."""
    had = os.getgroups()
    os.setgroups(list(groups))
    os.setegid(user)
    os.seteuid(user)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(had)
