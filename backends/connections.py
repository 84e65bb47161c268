"""How many TCP connections a node has on its application's port, read from its kernel's table."""

import contextlib

from backends.asking import look, words
from backends.base import Host
from backends.errors import Unmeasured
from backends.model import Command
from backends.ports import LISTEN

ESTABLISHED = "01"  # TCP_ESTABLISHED in /proc/net/tcp; see proc(5) and net/tcp_states.h


class NodeConnections:
    """Counts the connections to one port; implements `backends.base.Connections`.

    Args:
        host: the node; with a prefix, the network of the container it leads into.
        port: TCP port, on any of the node's addresses.
        timeout_s: seconds for the command.
    """

    def __init__(self, host: Host, port: int, timeout_s: float = 10.0) -> None:
        self._host = host
        self._port = port
        self._timeout_s = timeout_s

    def command(self) -> Command:
        """Only the rows of this port come back, and the heading, which proves that there was a table."""
        row = f":{self._port:04X} [0-9A-F]*:[0-9A-F]* ({ESTABLISHED}|{LISTEN}) "
        return Command(("grep", "-hE", f"local_address|{row}", "/proc/net/tcp", "/proc/net/tcp6"))

    async def count(self) -> int:
        """Look once.

        Raises:
            Unreachable: as it comes from the host.
            Unmeasured: no table was seen or only a part of it, or nobody listens on the port there, so that
                its connections may end elsewhere.
        """
        result = await look(self._host, self.command(), timeout=self._timeout_s)
        if result.truncated or "local_address" not in result.stdout:
            problem = f"connections on port {self._port}: /proc/net/tcp could not be read: {words(result)}"
            raise Unmeasured(self._host.name, problem)
        states = _states(result.stdout, self._port)
        if not states:
            raise Unmeasured(self._host.name, f"nobody listens on port {self._port} there")
        return states.count(ESTABLISHED)


def _states(table: str, port: int) -> list[str]:
    """Of each row with this local port; a row is ``sl local_address rem_address st ...``."""
    states = []
    for line in table.splitlines():
        columns = line.split(maxsplit=4)
        if len(columns) > 3:
            with contextlib.suppress(ValueError):
                if int(columns[1].rpartition(":")[2], 16) == port:
                    states.append(columns[3])
    return states
