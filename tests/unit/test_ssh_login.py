"""What sshd wrote of a login: fingerprints as ssh-keygen has them, and nothing of what is no such file."""

import os
import subprocess
from pathlib import Path

import pytest

from console import operator_identity
from console.operator_identity import ssh_credential

KEYGEN = ["ssh-keygen", "-q", "-N", "", "-C", "somebody"]


def made(folder: Path, *kind: str, name: str = "key") -> tuple[str, str]:
    """A key: its public part as sshd writes it, and its fingerprint as ssh-keygen shows it."""
    subprocess.run([*KEYGEN, "-f", folder / name, *kind], check=True)
    public = " ".join((folder / f"{name}.pub").read_text().split()[:2])
    return public, fingerprint(folder / f"{name}.pub")


def fingerprint(file: Path) -> str:
    shown = subprocess.run(["ssh-keygen", "-l", "-f", file], check=True, capture_output=True, text=True)
    return shown.stdout.split()[1]


def written(folder: Path, text: str) -> str:
    file = folder / "auth"
    file.write_text(text)
    file.chmod(0o600)
    return str(file)


@pytest.mark.parametrize("kind", ["ed25519", "rsa", "ecdsa"])
def test_a_key_has_the_fingerprint_of_ssh_keygen(kind: str, tmp_path: Path) -> None:
    public, expected = made(tmp_path, "-t", kind)
    found = ssh_credential(written(tmp_path, f"publickey {public}\n"))
    assert found == f"{public.split()[0]} {expected}"


@pytest.mark.parametrize("kind", ["ed25519", pytest.param("rsa", marks=pytest.mark.long), "ecdsa"])
def test_a_certificate_has_the_fingerprint_of_its_key_its_id_and_its_number(
    kind: str, tmp_path: Path
) -> None:
    made(tmp_path, "-t", "ed25519", name="ca")
    _, expected = made(tmp_path, "-t", kind)
    sign = ["ssh-keygen", "-q", "-s", f"{tmp_path}/ca", "-I", "ann's \x1b[2J laptop", "-n", "ann", "-z", "77"]
    subprocess.run([*sign, f"{tmp_path}/key.pub"], check=True)
    certificate = " ".join((tmp_path / "key-cert.pub").read_text().split()[:2])
    found = ssh_credential(written(tmp_path, f"publickey {certificate}\n"))
    kept = "ann's \N{REPLACEMENT CHARACTER}[2J laptop"
    assert found == f"{certificate.split()[0]} {expected} id {kept!r} serial 77"
    assert fingerprint(tmp_path / "key-cert.pub") == expected


def test_all_keys_of_a_login_are_named_and_passwords_are_none(tmp_path: Path) -> None:
    one, first = made(tmp_path, "-t", "ed25519", name="one")
    two, second = made(tmp_path, "-t", "ed25519", name="two")
    lines = ["password", f"publickey {one}", "keyboard-interactive/pam", f"publickey {two}", ""]
    found = ssh_credential(written(tmp_path, "\n".join(lines)))
    assert found == f"ssh-ed25519 {first}, ssh-ed25519 {second}"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "publickey",
        "publickey ssh-ed25519",
        "publickey ssh-ed25519 %%%",
        "publickey ssh-ed25519 AAAA",
        "publickey ssh-ed25519 AAAAC3NzaC1lZDI1NTE5 more",
        "publickey ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIA==",  # it says something else inside
        "publickey x-cert-v01@openssh.com AAAAGHgtY2VydC12MDFAb3BlbnNzaC5jb20=",
        "publickey \x1b[2J AAAA",
        "publickey ssh-ed25519 \xff\xff",
        "publickey ssh-ed25519-cert-v01@openssh.com /////w==",
    ],
)
def test_what_is_no_key_is_none(text: str, tmp_path: Path) -> None:
    assert ssh_credential(written(tmp_path, text)) == ""


def test_what_is_no_file_of_ours_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    public, _ = made(tmp_path, "-t", "ed25519")
    file = Path(written(tmp_path, f"publickey {public}\n"))
    (tmp_path / "link").symlink_to(file)
    os.mkfifo(tmp_path / "fifo")
    assert ssh_credential(str(file)) != ""
    for path in ("", "/dev/zero", "/nonexistent", "a\0b", tmp_path, tmp_path / "link", tmp_path / "fifo"):
        assert ssh_credential(str(path)) == "", path
    file.chmod(0o666)
    assert ssh_credential(str(file)) == "", "others may write it"
    file.chmod(0o600)
    monkeypatch.setattr(operator_identity, "_trusted_owners", lambda: iter([os.getuid() + 1]))
    assert ssh_credential(str(file)) == "", "it is somebody else's"


def test_of_a_huge_file_only_the_beginning_is_read(tmp_path: Path) -> None:
    public, expected = made(tmp_path, "-t", "ed25519")
    found = ssh_credential(written(tmp_path, f"publickey {public}\n" + "password\n" * 1_000_000))
    assert found == f"ssh-ed25519 {expected}"
