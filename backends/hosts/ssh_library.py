"""asyncssh as every module here imports it: without the compiler that its own import may start.

For two optional libraries it asks `ctypes.util.find_library`, which looks into the linker's cache and then,
where that has none, starts gcc and ld: ten programs with each start of Rolldeck. What the linker's cache has
is found as before.

Importing this takes a fifth of a second, so it is imported late.
"""

import ctypes.util
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def _cache_only() -> Iterator[None]:
    """Make `find_library` look into the linker's cache alone, where this Python can do so."""
    before = ctypes.util.find_library
    ctypes.util.find_library = getattr(ctypes.util, "_findSoname_ldconfig", before)
    try:
        yield
    finally:
        ctypes.util.find_library = before


with _cache_only():
    import asyncssh
    from asyncssh.config import SSHClientConfig

__all__ = ["SSHClientConfig", "asyncssh"]
