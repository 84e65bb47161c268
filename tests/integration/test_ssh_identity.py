"""The identity of operators who have logged in over a real sshd with `ExposeAuthInfo yes`."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.servers.sshd import SSHD, Sshd, running_sshd

pytestmark = pytest.mark.skipif(SSHD is None, reason="no sshd here")

ROOT = Path(__file__).parents[2]
ASKED = """
import msgspec
from console.operator_identity import current_operator
print(msgspec.json.encode(current_operator('terminal')).decode())
"""


def asked(sshd: Sshd, *options: str, before: str = "") -> dict[str, object]:
    """The actor as a process sees it that was begun by a login."""
    login = ["ssh", "-F", str(sshd.ssh_config), *options, sshd.alias]
    command = f'cd {ROOT} && {before} {sys.executable} -c "{ASKED}"'
    done = subprocess.run([*login, command], check=True, capture_output=True, text=True, timeout=60)
    found: dict[str, object] = json.loads(done.stdout)
    return found


def fingerprint(file: Path) -> str:
    shown = subprocess.run(["ssh-keygen", "-l", "-f", file], check=True, capture_output=True, text=True)
    return shown.stdout.split()[1]


def test_the_key_of_the_login_is_known(tmp_path: Path) -> None:
    with running_sshd(tmp_path, extra=["ExposeAuthInfo yes"]) as sshd:
        found = asked(sshd)
        expected = f"ssh-ed25519 {fingerprint(sshd.client_key.with_suffix('.pub'))}"
        assert (found["credential"], found["uid"], found["via"]) == (expected, os.getuid(), "terminal")
        assert str(found["name"]).startswith(f"{sshd.user}@")
        assert asked(sshd, before="SUDO_USER=eve")["uid"] == os.getuid(), "a name can be claimed, a uid not"


def test_without_exposed_authentication_nothing_is_claimed(tmp_path: Path) -> None:
    with running_sshd(tmp_path) as sshd:
        assert asked(sshd)["credential"] == ""


def test_the_certificate_of_the_login_is_known(tmp_path: Path) -> None:
    authority = tmp_path / "ca"
    make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f"]
    subprocess.run([*make, f"{authority}"], check=True)
    extra = ["ExposeAuthInfo yes", f"TrustedUserCAKeys {authority}.pub"]
    with running_sshd(tmp_path, extra=extra) as sshd:
        key = tmp_path / "laptop"
        subprocess.run([*make, f"{key}"], check=True)
        sign = ["ssh-keygen", "-q", "-s", f"{authority}", "-I", "ann's laptop", "-n", sshd.user, "-z", "7"]
        subprocess.run([*sign, f"{key}.pub"], check=True)
        options = ("-i", str(key), "-o", f"CertificateFile={key}-cert.pub", "-o", "IdentityFile=none")
        kind = "ssh-ed25519-cert-v01@openssh.com"
        expected = f"{kind} {fingerprint(key.with_suffix('.pub'))} id {chr(34)}ann's laptop{chr(34)} serial 7"
        assert asked(sshd, *options)["credential"] == expected
