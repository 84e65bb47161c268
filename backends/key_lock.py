"""Locks that several machines share: the protocol, and what their holders write there."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class LockValue:
    """A value that the holder of a lock has written there.

    Attributes:
        value: what was given to `KeyLock.try_acquire`, if the holder wrote it.
        doubt: why somebody else may have written it; empty when nothing suggests that.
    """

    value: bytes
    doubt: str = ""


class KeyLock(Protocol):
    """A lock that several machines share, with a value that says who holds it."""

    @property
    def fencing_token(self) -> int:
        """A number that grows with each holder: a smaller one belongs to an earlier holder."""

    async def holder(self) -> LockValue | None:
        """Return what another holder has written; None when there is none. Raises BackendError."""

    async def try_acquire(self, value: bytes) -> bool:
        """Acquire the lock and keep it; return whether it was free. Raises BackendError."""

    async def force_release(self) -> None:
        """Take the lock away from its holder. Raises BackendError."""

    def lost_reason(self) -> str:
        """Return why no node may be taken out under this lock any more; empty while it is held."""

    def fenced_reason(self) -> str:
        """Return why nothing at all may be done under this lock any more; empty while something may."""

    async def release(self) -> None:
        """Give the lock back, without effect when it is not held. Never raises."""
