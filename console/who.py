"""Who works here."""

import functools
import getpass
import os
import socket

from console.ssh_login import ssh_credential
from orchestrator.events.actor import Actor, Via


def operator(via: Via) -> Actor:
    """Who works here, as `user@machine`: under `sudo` the user who called it, with the uid that it gave.

    The name is what the environment says, and can be set by whoever works here; the uid is the kernel's.
    """
    try:
        name = os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as containers have them
        name = str(os.getuid())
    credential = _credential(os.environ.get("SSH_USER_AUTH", ""))
    return Actor(f"{name}@{socket.gethostname()}", via, os.getuid(), credential)


@functools.cache
def _credential(path: str) -> str:
    """Read once: sshd removes the file when the login ends, and a rollout may go on after that."""
    return ssh_credential(path)
