"""A DNS server on a free UDP port of loopback, whose records a test may change at any moment.

    async with running_dns() as dns:
        dns.services["_shop._tcp.test"] = {"web1.test": ("127.0.0.1", 8080)}

It answers SRV questions with the addresses of the targets beside them, and A questions. A name without
records does not exist.
"""

import asyncio
import ipaddress
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

A, SRV, OPT = 1, 33, 41
IN = 1
NXDOMAIN = 3
_HEADER = struct.Struct("!6H")
_ANSWER = 0x8400  # a response, with authority


@dataclass(slots=True)
class Dns:
    """The records, and how often each name was asked for."""

    services: dict[str, dict[str, tuple[str, int]]] = field(default_factory=dict)  # target: address, port
    hosts: dict[str, list[str]] = field(default_factory=dict)
    asked: dict[str, int] = field(default_factory=dict)
    port: int = 0

    def answer(self, query: bytes) -> bytes:
        """The response to one query."""
        number, flags, *_ = _HEADER.unpack_from(query)
        name, end = _read_name(query, _HEADER.size)
        kind, _ = struct.unpack_from("!2H", query, end)
        question = query[_HEADER.size : end + 4]
        self.asked[name] = self.asked.get(name, 0) + 1
        answers, more, known = self._records(name.lower(), kind)
        code = 0 if known else NXDOMAIN
        head = _HEADER.pack(number, _ANSWER | flags & 0x0100 | code, 1, len(answers), 0, len(more))
        return head + question + b"".join(answers + more)

    def _records(self, name: str, kind: int) -> tuple[list[bytes], list[bytes], bool]:
        if name in self.services:
            found = self.services[name] if kind == SRV else {}
            answers = [_srv(name, target, port) for target, (_, port) in found.items()]
            return answers, [_a(target, address) for target, (address, _) in found.items()], bool(found)
        addresses = self.hosts.get(name, []) + [
            address
            for targets in self.services.values()
            for target, (address, _) in targets.items()
            if target == name
        ]
        return [_a(name, address) for address in addresses if kind == A], [], bool(addresses)


@asynccontextmanager
async def running_dns() -> AsyncIterator[Dns]:
    """Serve until the block ends."""
    dns = Dns()
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: _Protocol(dns), local_addr=("127.0.0.1", 0)
    )
    dns.port = transport.get_extra_info("sockname")[1]
    try:
        yield dns
    finally:
        transport.close()
        await asyncio.sleep(0)


class _Protocol(asyncio.DatagramProtocol):
    def __init__(self, dns: Dns) -> None:
        self._dns = dns

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)  # its class does not say so

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._transport.sendto(self._dns.answer(data), addr)


def _srv(name: str, target: str, port: int) -> bytes:
    return _record(name, SRV, struct.pack("!3H", 1, 1, port) + _name(target))


def _a(name: str, address: str) -> bytes:
    return _record(name, A, ipaddress.IPv4Address(address).packed)


def _record(name: str, kind: int, data: bytes) -> bytes:
    return _name(name) + struct.pack("!2HIH", kind, IN, 1, len(data)) + data


def _name(name: str) -> bytes:
    return b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0"


def _read_name(message: bytes, at: int) -> tuple[str, int]:
    parts = []
    while length := message[at]:
        parts.append(message[at + 1 : at + 1 + length].decode())
        at += 1 + length
    return ".".join(parts), at + 1
