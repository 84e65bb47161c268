"""The lock of an application on this machine, for one rollout or manual change at a time.

The lock names its holder. Its interface also suits a lock that several machines share.
"""

import asyncio
import contextlib
import fcntl
import os
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Protocol
from urllib.parse import quote

import msgspec

from backends.file_trust import Untrusted
from backends.local_files import open_own
from backends.text import format_local_time, shorten
from backends.untrusted import MAX_SHOWN_CHARS, ProcessId, Time, decode
from orchestrator.errors import Locked

_Name = Annotated[str, msgspec.Meta(max_length=1_000)]

_MAX_BYTES = 65_536  # bytes of a holder in a lock
STOP_TIMEOUT_S = 10.0  # seconds for a holder who has lost the lock to stop sending
CHECK_INTERVAL_S = 0.02  # seconds between two checks whether that is so


class Holder(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The holder of a lock."""

    operator: _Name  # user@machine
    host: _Name
    pid: ProcessId
    since: Time
    what: str  # "upgrade to 1.5.0"
    machine: _Name = ""  # tells whether `pid` is a process of this machine: see `backends.local_processes`
    process: _Name = ""  # its identity, see there; Rolldeck 0.2 did not write it
    doubt: str = ""  # why it may be somebody else; set when a lock is read, never written there

    def __str__(self) -> str:
        if self.doubt and not self.operator:
            return f"an unverified operator ({self.doubt})"
        since = format_local_time(self.since)
        what = shorten(self.what, MAX_SHOWN_CHARS)
        who = f"{self.operator} (process {self.pid} on {self.host}) since {since}: {what}"
        return f"an unverified operator ({self.doubt}), claiming to be {who}" if self.doubt else who


def read_holder(value: bytes, doubt: str = "") -> Holder:
    """Return the holder from the content of a lock; if that is unreadable, the holder is unverified."""
    try:
        return msgspec.structs.replace(decode(value, Holder), doubt=doubt)
    except ValueError:
        doubt = doubt or "its content cannot be understood"
        return Holder(operator="", host="", pid=1, since=0.0, what="", doubt=doubt)


class Lock(Protocol):
    """The lock of one application."""

    async def acquire(self, holder: Holder, *, break_lock: bool = False) -> Holder | None:
        """Acquire the lock.

        Returns:
            The previous holder, if it was taken over from one that is gone, or whose lock was broken.

        Raises:
            Locked: somebody else holds it.
        """

    async def holder(self) -> Holder | None:
        """Return who holds it now, or may hold it; None when nobody does, or we do. It acquires nothing."""

    @property
    def fencing_token(self) -> int:
        """A number that grows with each holder on any machine; 0 where no older holder could still act."""

    def refusal(self, holder: Holder) -> Locked:
        """Return the error that says who holds it, and what can be done about it."""

    def lost_reason(self) -> str:
        """Say why it is not ours any more; empty while it is. It is called before each drain."""

    def fenced_reason(self) -> str:
        """Say why nothing may be sent any more, else nothing. It is called before each command."""

    def awaited(self) -> str:
        """Say why the work has to end now, since somebody on this machine waits for that; else empty."""

    async def release(self) -> None:
        """Release it; this has no effect when it is not ours."""


@dataclass(slots=True)
class FileLock:
    """A file that the kernel locks, so that it is free as soon as its holder is gone for any reason.

    A second file beside it is locked for as long as its holder may still send something. After a lock was
    broken, the new holder waits for that one: a change in progress must not be mistaken for the state.

    Attributes:
        path: of the file; its folder is made if it is missing. `backends.local_files` says who may own them.
    """

    path: Path
    _file: int = -1
    _sending: int = -1

    @classmethod
    def of(cls, folder: Path, application: str) -> "FileLock":
        return cls(folder / f"{quote(application, safe='')}.lock")

    async def acquire(self, holder: Holder, *, break_lock: bool = False) -> Holder | None:
        """See `Lock.acquire`. Nobody can see whether a holder on another machine is gone."""
        try:
            broken: Holder | None = None
            while not self._take():
                found = self._read()
                if not break_lock:
                    raise Locked(f"{_describe_holder(found)}; --break-lock breaks the lock")
                self.path.unlink(missing_ok=True)
                broken = found or broken
            before = self._read() or broken
            if before is not None and before.host != holder.host and not break_lock:
                os.close(self._file)
                self._file = -1
                raise Locked(
                    f"{_describe_holder(before)}; whether that process still runs cannot be checked from"
                    " here; --break-lock breaks the lock"
                )
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, msgspec.json.encode(holder), 0)
            await self._wait_until_nobody_sends()
        except Untrusted as error:
            await self.release()
            raise Locked(f"the lock cannot be used: {error.strerror}") from error
        except OSError as error:
            await self.release()
            raise Locked(f"{self.path}: {error.strerror}") from error
        except BaseException:
            await self.release()
            raise
        return before

    async def _wait_until_nobody_sends(self) -> None:
        """Wait until the previous holder has stopped, unless it does not even check its lock.

        A holder checks before each command, so it sends nothing even if it continues later.

        Raises:
            Locked: somebody else has broken it meanwhile; no changes made.
        """
        path = self.path.with_suffix(".sending")
        deadline = time.monotonic() + STOP_TIMEOUT_S
        while True:
            self._sending = open_own(path, os.O_RDWR | os.O_CREAT)
            busy = not _try_lock(self._sending)
            if why := self.lost_reason():
                raise Locked(why)
            if not busy and _is_same_file(self._sending, path):
                return
            os.close(self._sending)
            self._sending = -1
            if busy and time.monotonic() > deadline:
                path.unlink(missing_ok=True)
            elif busy:
                await asyncio.sleep(CHECK_INTERVAL_S)

    async def holder(self) -> Holder | None:
        """See `Lock.holder`."""
        if self._file >= 0:
            return None
        try:
            file = open_own(self.path, os.O_RDWR)
        except OSError:  # `acquire` says what is wrong with it
            return None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return self._read()
        finally:
            os.close(file)
        left = self._read()
        return left if left is not None and left.host != socket.gethostname() else None

    def refusal(self, holder: Holder) -> Locked:
        """See `Lock.refusal`: a holder that dies loses the lock at once."""
        return Locked(f"{holder}; --break-lock breaks the lock")

    @property
    def fencing_token(self) -> int:
        """See `Lock.fencing_token`: at most one process holds a file's lock."""
        return 0

    def _take(self) -> bool:
        """Lock the file; returns whether it is ours now and is still the one with that name."""
        file = open_own(self.path, os.O_RDWR | os.O_CREAT)
        if not _try_lock(file):
            os.close(file)
            return False
        self._file = file
        if self.lost_reason():  # it was unlinked between opening and locking
            os.close(file)
            self._file = -1
            return self._take()
        return True

    def _read(self) -> Holder | None:
        try:
            file = open_own(self.path, os.O_RDONLY)
        except OSError:
            return None
        try:
            return msgspec.structs.replace(decode(os.pread(file, _MAX_BYTES, 0), Holder), doubt="")
        except (OSError, ValueError):
            return None
        finally:
            os.close(file)

    def lost_reason(self) -> str:
        """See `Lock.lost_reason`."""
        if self._file < 0:
            return "the lock was released"
        return self.fenced_reason() or ("" if self._named() else f"the lock {self.path} was removed")

    def fenced_reason(self) -> str:
        """See `Lock.fenced_reason`: once another file has its name, somebody else works on the nodes."""
        if self._file < 0 or _is_same_file(self._file, self.path) or not self._named():
            return ""
        return f"the lock was broken by {_describe_holder(self._read())}"

    def awaited(self) -> str:
        """See `Lock.awaited`: the one who broke it waits until nothing is sent any more."""
        return self.fenced_reason()

    def _named(self) -> bool:
        """Return whether there is any file with its name."""
        return os.path.lexists(self.path)

    async def release(self) -> None:
        """See `Lock.release`."""
        if self._sending >= 0:  # first, so that the next holder finds that nobody sends
            os.close(self._sending)
            self._sending = -1
        if self._file < 0:
            return
        with contextlib.suppress(OSError):  # on a disk that fails, it is free and names us, as after a kill
            if not self.lost_reason():
                os.ftruncate(self._file, 0)  # nobody has it: an empty file
        os.close(self._file)
        self._file = -1


def _try_lock(file: int) -> bool:
    """Lock an open file if nobody else has; returns whether it is ours."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_same_file(file: int, path: Path) -> bool:
    """Return whether an open file is still the one with this name."""
    try:
        ours, there = os.fstat(file), os.lstat(path)
    except OSError:
        return False
    return (ours.st_ino, ours.st_dev) == (there.st_ino, there.st_dev)


def _describe_holder(holder: Holder | None) -> str:
    return f"{holder}" if holder is not None else "an unnamed operator"
