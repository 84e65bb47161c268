"""Who works here."""

import getpass
import os
import socket


def operator() -> str:
    """Who works here, for events and questions: `user@machine`."""
    try:
        name = os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as containers have them
        name = str(os.getuid())
    return f"{name}@{socket.gethostname()}"
