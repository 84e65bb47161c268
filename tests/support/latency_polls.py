"""Polls of servers with known response times, with the averages that HAProxy would show of them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from orchestrator.canary.poll import Cell, Lifetime, Poll, Stratum
from orchestrator.events.judgement import Group

_DECAY = 1 - 1 / 512


@dataclass
class ServerTimes:
    """A server: how it answers now, and what HAProxy has counted."""

    ms: float = 5.0
    group: Group = "old"
    rps: float = 40.0
    average: float = 5.0
    answered: float = 10_000.0

    def serve(self, seconds: float) -> None:
        kept = _DECAY ** (self.rps * seconds)
        self.average = self.average * kept + self.ms * (1 - kept)
        self.answered += self.rps * seconds


@dataclass
class FleetTimes:
    """Servers of one backend on one load balancer, or on several that see the same."""

    servers: Mapping[str, ServerTimes] = field(
        default_factory=lambda: {f"web{number}": ServerTimes() for number in range(1, 5)}
    )
    balancer: str = "lb1"
    at: float = 1_000.0

    def lifetimes(self) -> list[Lifetime]:
        return [
            Lifetime(
                self.balancer, "shop", name, round(server.answered), 0, 3_600.0, math.ceil(server.average)
            )
            for name, server in self.servers.items()
        ]

    def poll(self, seconds: float = 1.0) -> Poll:
        """Let this time pass, in which those with a group serve, and read them."""
        self.at += seconds
        cells = []
        for name, server in self.servers.items():
            if server.group:
                before = round(server.answered)
                server.serve(seconds)
                total = round(server.answered)
                cells.append(
                    Cell(
                        name,
                        name,
                        server.group,
                        total - before,
                        0,
                        answered=total - before,
                        response_time=math.ceil(server.average),
                        total_answered=total,
                    )
                )
        return Poll(self.balancer, self.at, seconds, [Stratum("shop", cells)])
