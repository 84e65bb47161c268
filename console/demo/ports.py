"""Loopback ports for servers that are started later, and stopped and started again."""

import random
import socket

_PORTS = range(10_000, 32_000)  # below Linux's ephemeral range: no outgoing connection takes one meanwhile


class ReservedPorts:
    """Ports that nobody else is given until they are released.

    Each is bound and never listens: it reads as closed, a server that sets SO_REUSEADDR (as ours, HAProxy,
    sshd, Consul and Monit do) can listen on it, and nobody else is given it while that server is stopped.
    """

    def __init__(self) -> None:
        self._sockets: list[socket.socket] = []

    def reserve(self) -> int:
        """A port that was free. Raises OSError when none is found."""
        for port in random.sample(_PORTS, 200):
            with socket.socket() as probe:  # without SO_REUSEADDR: fails when anybody has it
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    continue
            reserved = socket.socket()
            self._sockets.append(reserved)
            reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            reserved.bind(("127.0.0.1", port))
            return port
        raise OSError("no free loopback port found")

    def release(self) -> None:
        """Give all of them back."""
        while self._sockets:
            self._sockets.pop().close()
