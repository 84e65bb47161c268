"""Whether a private key is encrypted, by the files that ssh-keygen writes."""

import subprocess
from pathlib import Path

import pytest

from backends.hosts.ssh_route import is_encrypted


def make_key(path: Path, kind: str, form: str, passphrase: str) -> Path:
    small = ["-b", "1024"] if kind == "rsa" else []  # as nothing is signed with it
    options = ["-q", "-t", kind, *small, "-m", form, "-N", passphrase, "-C", "", "-f", str(path)]
    subprocess.run(["ssh-keygen", *options], check=True)
    return path


@pytest.mark.parametrize("form", ["RFC4716", "PEM", "PKCS8"])
@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
@pytest.mark.parametrize("passphrase", ["", "sesame"])
def test_a_key_says_whether_it_is_encrypted(tmp_path: Path, form: str, kind: str, passphrase: str) -> None:
    key = make_key(tmp_path / "key", kind, form, passphrase)
    assert is_encrypted(str(key)) is bool(passphrase)


@pytest.mark.parametrize("form", ["RFC4716", "PEM", "PKCS8"])
@pytest.mark.parametrize("passphrase", ["", "sesame"])
@pytest.mark.parametrize("ending", ["\n", "\r\n", " \n"])
def test_lines_of_a_key_may_be_of_any_length(tmp_path: Path, form: str, passphrase: str, ending: str) -> None:
    lines = make_key(tmp_path / "key", "ecdsa", form, passphrase).read_text().splitlines()
    begin = 2 + lines.index("") if "" in lines else 1  # headers of the older form end with an empty line
    body = "".join(lines[begin:-1])
    for length in (7, 65, 76, len(body)):
        wrapped = [body[at : at + length] for at in range(0, len(body), length)]
        copy = tmp_path / "copy"
        copy.write_bytes(ending.join([*lines[:begin], *wrapped, lines[-1], ""]).encode())
        assert is_encrypted(str(copy)) is bool(passphrase)


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
