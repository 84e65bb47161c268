"""Signatures of values in Consul: an HMAC with a key that all machines of one team have.

A signed value is a line with the signature, followed by the content as it would be without a signature:

    rolldeck-hmac-sha256-1 64 HEXADECIMAL DIGITS
    CONTENT

The signature covers the version of this format, the kind of the value, the application with its prefix, what
the value is bound to, and the content, each preceded by its length. Different values are therefore never the
same bytes, and a value of one kind cannot be used as one of another. Numbers and times are in the content.
"""

import hmac
from dataclasses import dataclass
from typing import Literal

from backends.errors import ConfigError
from backends.secrets import Secret
from backends.text import counted

Kind = Literal["publication", "request", "lock"]

MIN_KEY_BYTES = 16
_MARK = b"rolldeck-hmac-sha256-1 "
_HEAD = len(_MARK) + 65  # bytes of the first line

UNSIGNED = "it is not signed"
FORGED = "its signature is not that of our key over this content here"


@dataclass(frozen=True, slots=True)
class Opened:
    """A value as it was read.

    Attributes:
        content: without the signature.
        verified: its signature is right.
        doubt: why it is not, if there is a key to check it with; empty without one.
    """

    content: bytes
    verified: bool = False
    doubt: str = ""


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs the values of one application.

    Attributes:
        key: at least `MIN_KEY_BYTES` bytes; see `check_key`.
        scope: the prefix of all keys with the application, such as "rolldeck/shop".
    """

    key: Secret
    scope: str

    def sign(self, kind: Kind, content: bytes, bound: str = "") -> bytes:
        """Return the value to write: the content with its signature.

        Args:
            kind: the kind of the value.
            content: what it says.
            bound: the context for which the value is valid, such as the session that holds the lock.
        """
        return _MARK + self._compute_signature(kind, content, bound) + b"\n" + content

    def _compute_signature(self, kind: Kind, content: bytes, bound: str) -> bytes:
        parts = (_MARK, kind.encode(), self.scope.encode(), bound.encode(), content)
        message = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
        return hmac.digest(self.key.reveal().encode(), message, "sha256").hex().encode()

    def find_doubt(self, kind: Kind, value: bytes, bound: str) -> str:
        """Return why a value cannot be believed; empty when its signature is right."""
        if not value.startswith(_MARK):
            return UNSIGNED
        right = self._compute_signature(kind, value[_HEAD:], bound)
        return "" if hmac.compare_digest(value[len(_MARK) : _HEAD], right + b"\n") else FORGED


def open_value(signer: Signer | None, kind: Kind, value: bytes, bound: str = "") -> Opened:
    """Read a value and check its signature; without a signer nothing is verified."""
    content = value[_HEAD:] if value.startswith(_MARK) else value
    if signer is None:
        return Opened(content)
    doubt = signer.find_doubt(kind, value, bound)
    return Opened(content, verified=not doubt, doubt=doubt)


def check_key(key: Secret, name: str) -> Secret:
    """Return the same key. Raises ConfigError if it could be guessed."""
    length = len(key.reveal().encode())
    if length < MIN_KEY_BYTES:
        found = f"the key has {counted(length, 'byte')}, expected at least {MIN_KEY_BYTES}"
        problem = f"{found}, such as of: openssl rand -hex 32"
        raise ConfigError("", name, problem)
    return key
