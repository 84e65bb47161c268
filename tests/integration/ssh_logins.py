"""Logins to a real sshd: the settings of a host, and what a login that succeeds or fails says."""

import asyncio
import subprocess
from functools import partial
from pathlib import Path

import pytest

from backends.command import Command
from backends.errors import Unreachable
from backends.hosts.ssh import SshHost
from backends.hosts.ssh_settings import SshSettings
from tests.support.servers.sshd import Sshd


def settings(sshd: Sshd, **changes: object) -> SshSettings:
    values: dict[str, object] = {"config": str(sshd.ssh_config)}
    return SshSettings(**(values | changes))  # type: ignore[arg-type]


watchful_settings = partial(settings, keepalive_interval=0.2)
"""Settings with which a lost connection is noticed at once."""


async def enter(host: SshHost) -> str:
    """Log in, say so, and leave."""
    try:
        return (await host.run(Command(("echo", "in")))).stdout
    finally:
        await host.close()


async def refused(host: SshHost, kind: type[Unreachable] = Unreachable) -> str:
    """Fail to log in and give the text the operator reads."""
    with pytest.raises(kind) as caught:
        await asyncio.wait_for(host.connect(), 20)
    assert type(caught.value) is kind
    assert caught.value.target == "web1"
    await host.close()
    return caught.value.problem


def run(*argv: str) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


def fingerprint(public_key: Path) -> str:
    return run("ssh-keygen", "-l", "-f", str(public_key)).split()[1]
