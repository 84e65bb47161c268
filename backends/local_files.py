"""Files of this machine: written as private files in a folder of this user or root, read only if regular."""

import asyncio
import contextlib
import errno
import math
import os
import secrets
import stat
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from backends.file_trust import (
    Untrusted,
    Writers,
    describe_owner,
    find_owner_problem,
    is_teams,
    open_own_folder,
)

_NEW = os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_MAX_FILES_PER_NAME = 1000  # files of one name
_MIN_FREE_BYTES = 1024 * 1024  # a disk with less is full: what is written next may be longer
_BESIDE = ("", "-wal", "-shm", "-journal")  # of SQLite's files, by the end of their names


def identify_file(path: Path) -> tuple[int, int] | None:
    """Return what tells a file from another one of the same name: device and inode; None if there is none."""
    try:
        return _read_identity(path)
    except OSError:
        return None


def identify_database(path: Path) -> list[tuple[int, int] | None]:
    """Identify a file of SQLite's, and that of its newest transactions beside it; None for a missing one.

    Raises:
        OSError: they cannot be looked at.
    """
    return [_read_identity(file) for file in (path, path.with_name(f"{path.name}-wal"))]


def _read_identity(path: Path) -> tuple[int, int] | None:
    """Return device and inode; None for a missing file. Raises OSError if it cannot be looked at."""
    try:
        info = os.lstat(path)
    except FileNotFoundError:
        return None
    return info.st_dev, info.st_ino


def is_database_in_place(path: Path, files: Sequence[tuple[int, int] | None]) -> bool:
    """Return whether these are still the files of a database; SQLite goes on with others that it has open.

    Files that cannot be looked at count as in place: whether they can be written is another question.
    """
    try:
        return identify_database(path) == files
    except OSError:
        return True


def describe_write_obstacle(path: Path) -> str:
    """Say why nothing can be written to a file now, as far as its file system tells it; else empty."""
    try:
        found = os.statvfs(path.parent)
    except OSError:  # who opens the file says what is wrong
        return ""
    free_bytes = _count_free_bytes(found)
    if found.f_flag & os.ST_RDONLY:
        return f"the disk is read-only: nothing can be written to {path}"
    if free_bytes < _MIN_FREE_BYTES:
        return f"the disk is full: {free_bytes / 1024:.0f} kB are free for {path}"
    return ""


def measure_free_bytes(path: Path) -> float:
    """Return how much this user may still write beside a file; infinite if the file system does not say."""
    try:
        return _count_free_bytes(os.statvfs(path.parent))
    except OSError:
        return math.inf


def _count_free_bytes(found: os.statvfs_result) -> float:
    free_blocks = found.f_bavail if os.geteuid() else found.f_bfree
    return found.f_frsize * free_blocks if found.f_blocks else math.inf


def find_write_protected(path: Path) -> Path | None:
    """Return the file or its folder if this user may not write it; the one above if it is missing."""
    folder = path.parent
    while not os.path.exists(folder) and folder != folder.parent:
        folder = folder.parent
    there = [place for place in (path, folder) if os.path.exists(place)]
    return next((place for place in there if not os.access(place, os.W_OK, effective_ids=True)), None)


def open_own(path: Path, flags: int) -> int:
    """Open a regular file.

    Args:
        path: the path of the file.
        flags: those of `os.open`; with O_CREAT the file is made if it is missing, and its folders.

    Returns:
        The descriptor, which the caller closes.

    Raises:
        Untrusted: the folder or the file is somebody else's, everybody may write it, or it is a link.
        OSError: it cannot be opened.
    """
    folder = _open_folder(path, create=bool(flags & os.O_CREAT))
    try:
        file = _open(path, flags, folder)
        try:
            _check(os.fstat(file), path, folder)
        except BaseException:
            os.close(file)
            raise
        return file
    finally:
        os.close(folder)


def _open(path: Path, flags: int, folder: int) -> int:
    plain = flags & ~os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    while True:
        if flags & os.O_CREAT:
            _create(path.name, folder)
        try:
            return os.open(path.name, plain, dir_fd=folder)
        except FileNotFoundError:  # taken away again, as when a lock is broken or a log rotated
            if not flags & os.O_CREAT:
                raise
        except OSError as error:
            raise _link_error(path) if error.errno == errno.ELOOP else error from None


def prepare_database(path: Path, *, create: bool) -> None:
    """Check a file of SQLite's, and those that it keeps beside it, before it opens them by their names.

    They are not opened: closing one would take away the locks that another connection of ours has on it.

    Args:
        path: the path of the database.
        create: make it, empty, if it is missing, and its folders.

    Raises:
        Untrusted: see `open_own`.
        OSError: it cannot be made.
    """
    folder = _open_folder(path, create=create)
    try:
        if create:
            _create(path.name, folder)
        for ending in _BESIDE:
            beside = path.with_name(path.name + ending)
            try:
                info = os.stat(beside.name, dir_fd=folder, follow_symlinks=False)
            except FileNotFoundError:
                continue
            _check(info, beside, folder)
    finally:
        os.close(folder)


def write_private(path: Path, content: bytes, *, replace: bool) -> None:
    """Write a whole file, readable by this user alone. An existing one is never written into, even by a link.

    Args:
        path: the path of the file.
        content: all of it.
        replace: put it in the place of a file that is there.

    Raises:
        FileExistsError: something is there, and it is not to be replaced.
        Untrusted: what is there is no regular file.
        OSError: it cannot be written; nothing is left of it then.
    """
    if replace:
        _check_replaceable(path)
    # A name that nobody can have taken before us, in a folder that others may write too.
    target = path.with_name(f".{path.name[:200]}.{secrets.token_hex(8)}") if replace else path
    file = os.open(target, os.O_WRONLY | _NEW, 0o600)
    try:
        with open(file, "wb") as stream:
            stream.write(content)
        if replace:
            os.replace(target, path)
    except BaseException:
        os.unlink(target)
        raise


def write_beside(path: Path, content: bytes) -> Path:
    """Write a file beside what is there, as `NAME-2.txt` and so on; return its path. Raises OSError."""
    for number in range(1, _MAX_FILES_PER_NAME):
        free = path if number == 1 else path.with_stem(f"{path.stem}-{number}")
        try:
            write_private(free, content, replace=False)
        except FileExistsError:
            continue
        return free
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))


def _check_replaceable(path: Path) -> None:
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if stat.S_ISLNK(mode):
        raise _link_error(path)
    if not stat.S_ISREG(mode):
        raise Untrusted(str(path), "is not a regular file")


def make_own_folder(folder: Path) -> int:
    """Open a folder for what Rolldeck writes, and make it, and those above it, if it is missing.

    Returns:
        The descriptor, which the caller closes.

    Raises:
        Untrusted: it is somebody else's, or everybody may write it.
        OSError: it cannot be made or opened.
    """
    _make_folder(folder.absolute())
    return open_own_folder(folder)


def _open_folder(path: Path, *, create: bool) -> int:
    if create:
        _make_folder(path.absolute().parent)
    return open_own_folder(path.parent)


def _make_folder(folder: Path) -> None:
    """Make what is missing of it: `mkdir` would leave its parents to the umask."""
    if os.path.lexists(folder):
        return
    _make_folder(folder.parent)
    try:
        folder.mkdir(0o700)
    except FileExistsError:  # another process has made it
        return
    info = os.stat(folder)
    if is_teams(os.stat(folder.parent)):
        folder.chmod(stat.S_IMODE(info.st_mode) | stat.S_IRWXG)


def _create(name: str, folder: int) -> None:
    try:
        file = os.open(name, os.O_WRONLY | _NEW, 0o600, dir_fd=folder)
    except FileExistsError:
        return
    try:
        if is_teams(os.fstat(folder)):
            os.fchmod(file, 0o660)
    finally:
        os.close(file)


def _check(info: os.stat_result, path: Path, folder: int) -> None:
    if stat.S_ISLNK(info.st_mode):
        raise _link_error(path)
    if not stat.S_ISREG(info.st_mode):
        raise Untrusted(str(path), "is not a regular file")
    if info.st_nlink > 1:
        raise Untrusted(str(path), "has another name too, a hard link, expected only this one")
    problem = find_owner_problem(info, Writers.own().users or frozenset())
    if problem and not is_teams(os.fstat(folder)):
        raise Untrusted(str(path), problem)
    if info.st_mode & stat.S_IWOTH:
        raise Untrusted(str(path), f"can be written by everybody ({describe_owner(info)})")


def _link_error(path: Path) -> Untrusted:
    return Untrusted(str(path), "is a symbolic link, expected the file itself")


_CHUNK_BYTES = 1024 * 1024


async def read_regular_file(path: str, most_bytes: int) -> bytes:
    """Read a regular file, through symbolic links.

    It is read in a thread that nobody waits for at the end of the program: a network file system that hangs
    keeps it for ever. The caller sets a time-out.

    Raises:
        OSError: it cannot be read, is no regular file, or is longer.
    """
    loop = asyncio.get_running_loop()
    result: asyncio.Future[bytes] = loop.create_future()

    def settle(set_outcome: Callable[[], None]) -> None:
        if not result.done():  # else the caller has gone
            set_outcome()

    def work() -> None:
        set_outcome: Callable[[], None]
        try:
            set_outcome = partial(result.set_result, _read(path, most_bytes))
        except OSError as error:
            set_outcome = partial(result.set_exception, error)
        with contextlib.suppress(RuntimeError):  # the event loop is closed
            loop.call_soon_threadsafe(settle, set_outcome)

    threading.Thread(target=work, name="read a file", daemon=True).start()
    return await result


def _read(path: str, most_bytes: int) -> bytes:
    if "\0" in path:
        raise OSError(errno.EINVAL, "a NUL byte in its path")
    # Without waiting: a pipe would be opened when somebody writes to it. A terminal must not become ours.
    file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        content = bytearray()
        while piece := os.read(file, _CHUNK_BYTES):
            content += piece
            if len(content) > most_bytes:
                raise OSError(errno.EFBIG, f"longer than {most_bytes:,} bytes")
        return bytes(content)
    finally:
        os.close(file)
