"""An independent observer of a rollout, which records when each step that takes time was really done."""

import contextlib
import csv
import multiprocessing
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

from console.demo.node import Node
from console.demo.stack import Stack
from tests.support.rollouts import DRAIN, MAINT

PAUSE = 0.005  # seconds between two looks: how fine the measurement is


@dataclass(slots=True)
class Moments:
    """Seconds since 1970, in the order in which they come; see `PHASES`."""

    node: Node
    at: dict[str, float] = field(default_factory=dict)

    def between(self, first: str, then: str) -> float:
        return self.at[then] - self.at[first]


@dataclass(frozen=True, slots=True)
class Seen:
    """One node's server line on one HAProxy."""

    admin: int
    sessions: int
    full_health: bool


Phase = tuple[str, Callable[[Node, list[Seen]], bool]]

PHASES: tuple[Phase, ...] = (
    ("out", lambda _, seen: all(server.admin & (DRAIN | MAINT) for server in seen)),
    ("empty", lambda _, seen: not any(server.sessions for server in seen)),
    ("gone", lambda node, _: node.pid is None),
    ("open", lambda node, _: _is_open(node)),
    ("gated", lambda _, seen: all(server.admin == DRAIN for server in seen)),
    ("proven", lambda _, seen: all(server.full_health for server in seen)),
)


class Watch:
    """Polls HAProxies, processes and ports from a process of its own: it must not slow the rest down.

    Attributes:
        moments: by node, after the end of the block.
    """

    def __init__(self, stack: Stack) -> None:
        self.moments = {name: Moments(node) for name, node in stack.nodes.items()}
        self._sockets = [instance.socket for instance in stack.instances.values()]

    def __enter__(self) -> "Watch":
        context = multiprocessing.get_context("spawn")
        self._ours, theirs = context.Pipe()
        self._process = context.Process(target=_watch, args=(theirs, self._sockets, self.moments))
        self._process.start()
        self._ours.recv()  # it has begun
        return self

    def __exit__(self, *_: object) -> None:
        self._ours.send("end")
        self.moments = self._ours.recv()
        self._process.join()


def _watch(pipe: Connection, sockets: Sequence[Path], moments: dict[str, Moments]) -> None:
    pipe.send("begun")
    while not pipe.poll(PAUSE):
        lines = [_servers(socket) for socket in sockets]
        for name, own in moments.items():
            _advance(own, [servers[name] for servers in lines])
    pipe.send(moments)


def _advance(moments: Moments, seen: list[Seen]) -> None:
    for phase, reached in PHASES[len(moments.at) :]:
        if not reached(moments.node, seen):
            return
        moments.at[phase] = time.time()


def _servers(path: Path) -> dict[str, Seen]:
    states = _ask(path, "show servers state shop").splitlines()
    header = states[1].removeprefix("# ").split()
    rows = [dict(zip(header, line.split(), strict=False)) for line in states[2:] if line.strip()]
    stat = csv.DictReader(_ask(path, "show stat shop 4 -1").removeprefix("# ").splitlines())
    stats = {row["svname"]: row for row in stat}
    return {
        row["srv_name"]: Seen(
            admin=int(row["srv_admin_state"]),
            sessions=int(stats[row["srv_name"]]["scur"]),
            full_health=_full(stats[row["srv_name"]]),
        )
        for row in rows
    }


def _full(row: dict[str, str]) -> bool:
    health = row["check_health"]  # empty in maintenance
    return bool(health) and int(health) == int(row["check_rise"]) + int(row["check_fall"]) - 1


def _ask(path: Path, command: str) -> str:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5)
        connection.connect(str(path))
        connection.sendall(command.encode() + b"\n")
        return b"".join(iter(lambda: connection.recv(65536), b"")).decode()


def _is_open(node: Node) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((node.address, node.port), 1):
        return True
    return False
