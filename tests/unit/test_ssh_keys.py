"""Whether a private key is encrypted, by the files that ssh-keygen writes."""

import subprocess
from pathlib import Path

import pytest

from backends.hosts.ssh_route import is_encrypted


@pytest.mark.parametrize("form", ["RFC4716", "PEM", "PKCS8"])
@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
@pytest.mark.parametrize("passphrase", ["", "sesame"])
def test_a_key_says_whether_it_is_encrypted(tmp_path: Path, form: str, kind: str, passphrase: str) -> None:
    key = tmp_path / "key"
    command = ["ssh-keygen", "-q", "-t", kind, "-m", form, "-N", passphrase, "-C", "", "-f", str(key)]
    subprocess.run(command, check=True)
    assert is_encrypted(str(key)) is bool(passphrase)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"-----BEGIN OPENSSH PRIVATE KEY-----",
        b"-----BEGIN OPENSSH PRIVATE KEY-----\nnot base64\n",
        b"-----BEGIN OPENSSH PRIVATE KEY-----\nYW55dGhpbmc=\n-----END OPENSSH PRIVATE KEY-----\n",
        b"ssh-ed25519 AAAA somebody",
    ],
)
def test_what_is_no_key_is_not_encrypted(tmp_path: Path, content: bytes) -> None:
    key = tmp_path / "key"
    key.write_bytes(content)
    assert not is_encrypted(str(key))


def test_a_missing_key_is_not_encrypted(tmp_path: Path) -> None:
    assert not is_encrypted(str(tmp_path / "key"))
