"""The identity of the operator: the user name, and the SSH key or certificate of the login."""

import base64
import binascii
import contextlib
import functools
import getpass
import hashlib
import os
import re
import socket
import stat
import struct
from collections.abc import Iterator

from orchestrator.events.actor import Actor, Via


def current_operator(via: Via) -> Actor:
    """Return the operator as `user@machine`; under `sudo`, the user who called it.

    The name comes from the environment, which the operator can set; the uid comes from the kernel.
    """
    try:
        name = os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as containers have them
        name = str(os.getuid())
    credential = _read_credential_once(os.environ.get("SSH_USER_AUTH", ""))
    return Actor(f"{name}@{socket.gethostname()}", via, os.getuid(), credential)


@functools.cache
def _read_credential_once(path: str) -> str:
    """Read the file only once: sshd removes it at logout, and a rollout may outlive the login."""
    return ssh_credential(path)


MAX_FILE_BYTES = 65_536  # sshd writes a few hundred for each key
MAX_KEY_ID_CHARS = 100  # of a certificate's id

_NAME = re.compile(r"[A-Za-z0-9@.-]{1,64}")
_CERTIFICATE = re.compile(r"(?P<key>.+)-cert-v01(?P<vendor>@openssh\.com)")

# How many fields of a certificate, after its nonce, make the public key (OpenSSH's PROTOCOL.certkeys).
_KEY_FIELDS = {
    "ssh-rsa": 2,
    "ssh-ed25519": 1,
    "ecdsa-sha2-nistp256": 2,
    "ecdsa-sha2-nistp384": 2,
    "ecdsa-sha2-nistp521": 2,
    "sk-ssh-ed25519": 2,
    "sk-ecdsa-sha2-nistp256": 3,
}


def ssh_credential(path: str) -> str:
    """Return type and fingerprint of each key and certificate in a file that sshd wrote for a login.

    Args:
        path: of the file; empty when sshd wrote none.

    Returns:
        Such as `ssh-ed25519 SHA256:...`, and for a certificate the fingerprint of its key, its id and its
        serial number as well; several are joined by commas, in sshd's order. Empty when the file is not
        there, is not a regular file of ours, or has no line of a key that can be read.
    """
    lines = _read(path).splitlines() if path else []
    return ", ".join(dict.fromkeys(found for line in lines if (found := _login_credential(line))))


def _read(path: str) -> str:
    with contextlib.suppress(OSError, ValueError):
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            found = os.fstat(descriptor)
            is_ours = found.st_uid in _trusted_owners() and not found.st_mode & 0o022
            if stat.S_ISREG(found.st_mode) and is_ours:
                return file.read(MAX_FILE_BYTES).decode("ascii", errors="replace")
    return ""


def _trusted_owners() -> Iterator[int]:
    """Yield who may have written it: sshd for this account, or for the account that called `sudo`."""
    yield os.getuid()
    yield os.geteuid()
    sudo = os.environ.get("SUDO_UID", "")
    if os.geteuid() == 0 and sudo.isascii() and sudo.isdecimal():
        yield int(sudo)


def _login_credential(line: str) -> str:
    method, *presented = line.split(" ")
    if method != "publickey" or len(presented) != 2:
        return ""
    kind, text = presented
    try:
        blob = base64.b64decode(text, validate=True)
        fields = _Fields(blob)
        if not _NAME.fullmatch(kind) or fields.string() != kind.encode():
            return ""
        certificate = _CERTIFICATE.fullmatch(kind)
        if certificate is None:
            return f"{kind} {_fingerprint(blob)}"
        plain, vendor = certificate.groups()
        fields.string()  # the nonce
        name = f"{plain}{vendor}" if plain.startswith("sk-") else plain
        key = [fields.string() for _ in range(_KEY_FIELDS[plain])]
        serial, _, key_id = fields.number(8), fields.number(4), fields.string()
    except (binascii.Error, ValueError, KeyError):
        return ""
    key_blob = b"".join(struct.pack(">I", len(field)) + field for field in (name.encode(), *key))
    return f"{kind} {_fingerprint(key_blob)} id {_printable(key_id)!r} serial {serial}"


def _fingerprint(blob: bytes) -> str:
    """Return the fingerprint as `ssh-keygen -l` shows it."""
    return f"SHA256:{base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip('=')}"


def _printable(key_id: bytes) -> str:
    """Return a certificate's id without control characters: its signer chose it freely."""
    text = key_id.decode("utf-8", errors="replace")
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)[
        :MAX_KEY_ID_CHARS
    ]


class _Fields:
    """The fields of a key in SSH's wire format. Raises ValueError where it is too short."""

    def __init__(self, blob: bytes) -> None:
        self._blob = blob
        self._at = 0

    def string(self) -> bytes:
        return self._take(self.number(4))

    def number(self, size: int) -> int:
        return int.from_bytes(self._take(size), "big")

    def _take(self, size: int) -> bytes:
        end = self._at + size
        if end > len(self._blob):
            raise ValueError("the key ends too early")
        taken, self._at = self._blob[self._at : end], end
        return taken
