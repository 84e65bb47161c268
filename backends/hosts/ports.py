"""TCP ports: whether one is open, and how many connections it has."""

import asyncio
import contextlib
import socket

from backends.command import Command
from backends.errors import Unreachable, UnreadableReply
from backends.hosts.execution import format_output, query
from backends.protocols import Host

LISTEN = "0A"  # TCP_LISTEN in /proc/net/tcp; see proc(5) and net/tcp_states.h


class ConsolePort:
    """A port checked from this machine by a connection, as a load balancer here would."""

    def __init__(self, address: str, port: int, timeout: float = 2.0) -> None:
        """Describe a port to check.

        Args:
            address: host name or IP address.
            port: TCP port.
            timeout: seconds for resolving the name, and for each connection attempt.
        """
        self._address = address
        self._port = port
        self._timeout = timeout
        self._target = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"

    async def is_open(self) -> bool:
        """Try each address of the name: the port is open if one accepts, and closed if all refuse.

        Raises:
            Unreachable: a time-out, no route, or an unknown name: the port is neither open nor closed.
        """
        for address in await self._resolve():
            if await self._accepts(address):
                return True
        return False

    async def _resolve(self) -> list[str]:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._timeout):
                found = await loop.getaddrinfo(
                    self._address, self._port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
                )
        except TimeoutError as error:
            raise Unreachable(self._target, "the name was not resolved in time") from error
        except OSError as error:
            raise Unreachable(self._target, f"unknown name: {error.strerror}") from error
        except UnicodeError as error:  # an empty or overlong part, found by the IDNA codec
            raise Unreachable(self._target, f"unknown name: {error}") from error
        return [str(info[4][0]) for info in found]

    async def _accepts(self, address: str) -> bool:
        try:
            async with asyncio.timeout(self._timeout):
                _, writer = await asyncio.open_connection(address, self._port)
        except ConnectionRefusedError:
            return False
        except TimeoutError as error:
            problem = f"no answer within {self._timeout:g} s"
            raise Unreachable(self._target, problem) from error
        except OSError as error:
            raise Unreachable(self._target, error.strerror or str(error)) from error
        try:
            # A connection from the port to itself: the kernel picked that very port to connect
            # from, which happens on loopback in the ephemeral range when nobody listens.
            return bool(writer.get_extra_info("sockname") != writer.get_extra_info("peername"))
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


class NodePort:
    """A port checked on the node in the kernel's own table, without a route or an open firewall."""

    def __init__(self, host: Host, port: int, timeout: float = 10.0) -> None:
        """Describe a port to check.

        Args:
            host: the node; with a prefix, the network of the container it leads into.
            port: TCP port, on any of the node's addresses.
            timeout: seconds for the command.
        """
        self._host = host
        self._port = port
        self._timeout = timeout

    def command(self) -> Command:
        # The table holds all connections, thousands on a busy node: only the listeners come back,
        # and the heading, which proves that there was a table to read. A missing tcp6 makes
        # the exit status 2 although tcp was read, so it is the heading that counts.
        pattern = f"local_address| {LISTEN} "
        return Command(("grep", "-hE", pattern, "/proc/net/tcp", "/proc/net/tcp6"))

    async def is_open(self) -> bool:
        """Run one check.

        Raises:
            Unreachable: as it comes from the host.
            UnreadableReply: the table is missing or incomplete.
        """
        result = await query(self._host, self.command(), timeout=self._timeout)
        if self._port in listening_ports(result.stdout):
            return True
        if result.truncated or "local_address" not in result.stdout:
            problem = f"port {self._port}: /proc/net/tcp could not be read: {format_output(result)}"
            raise UnreadableReply(self._host.name, problem)
        return False


def listening_ports(table: str) -> frozenset[int]:
    """Read /proc/net/tcp or tcp6, whole or in part, one after the other.

    A row is ``sl local_address rem_address st ...``, an address is ``HEX:PORT`` in hexadecimal.
    """
    ports = set()
    for line in table.splitlines():
        columns = line.split(maxsplit=4)
        if len(columns) > 3 and columns[3] == LISTEN:
            _, _, port = columns[1].rpartition(":")
            with contextlib.suppress(ValueError):
                ports.add(int(port, 16))
    return frozenset(ports)


ESTABLISHED = "01"  # TCP_ESTABLISHED in /proc/net/tcp; see proc(5) and net/tcp_states.h


class NodeConnections:
    """Counts the connections to one port; implements `backends.protocols.Connections`.

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
        """Return the command for the rows of this port, and the heading, which proves that a table exists."""
        row = f":{self._port:04X} [0-9A-F]*:[0-9A-F]* ({ESTABLISHED}|{LISTEN}) "
        return Command(("grep", "-hE", f"local_address|{row}", "/proc/net/tcp", "/proc/net/tcp6"))

    async def count(self) -> int:
        """Run one check.

        Raises:
            Unreachable: as it comes from the host.
            UnreadableReply: the table is missing or incomplete, or nobody listens on the port there, so that
                its connections may end elsewhere.
        """
        result = await query(self._host, self.command(), timeout=self._timeout_s)
        if result.truncated or "local_address" not in result.stdout:
            problem = (
                f"connections on port {self._port}: /proc/net/tcp could not be read: {format_output(result)}"
            )
            raise UnreadableReply(self._host.name, problem)
        states = _states(result.stdout, self._port)
        if not states:
            raise UnreadableReply(self._host.name, f"nothing listens on port {self._port} there")
        return states.count(ESTABLISHED)


def _states(table: str, port: int) -> list[str]:
    """Return the state in each row with this local port: ``sl local_address rem_address st ...``."""
    states = []
    for line in table.splitlines():
        columns = line.split(maxsplit=4)
        if len(columns) > 3:
            with contextlib.suppress(ValueError):
                if int(columns[1].rpartition(":")[2], 16) == port:
                    states.append(columns[3])
    return states
