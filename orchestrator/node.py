"""A node: one machine (or container) of the application, with everything needed to work on it."""

import re
from dataclasses import dataclass

from backends.model import Admin, AdminState, Server, ServerRef
from backends.protocols import (
    Connections,
    HealthCheck,
    Host,
    Installer,
    PortProbe,
    Registration,
    ServiceManager,
)
from orchestrator.events.ways_back import OriginalStateRecord


@dataclass(frozen=True, slots=True)
class Node:
    """The parts are adapters that are bound to this node already."""

    name: str
    addresses: frozenset[str]  # every address it is known by; compared with HAProxy's
    port: int  # of the application
    servers: tuple[str, ...]  # names in HAProxy: "web1", or "backend/web1" for one backend only
    host: Host
    service: ServiceManager
    port_probe: PortProbe
    installer: Installer
    health: HealthCheck
    health_successes: int = 3  # in a row
    health_interval: float = 0.5  # seconds between two looks
    registration: Registration | None = None  # where others than HAProxy look it up
    connections: Connections | None = None  # on its port; None where its kernel does not see them
    version_regex: str = ""  # regular expression with one group; see `reported_version`

    def reported_version(self, version: str) -> str:
        """What the application itself calls this version: of the package 1.5.0-1 it may say 1.5.0."""
        match = re.search(self.version_regex, version) if self.version_regex else None
        return match[1] if match else version


@dataclass(frozen=True, slots=True)
class OriginalState:
    """What a human had decided about one server before we touched it; it is given back exactly."""

    admin: AdminState  # as forced by somebody; inherited and resolved states are HAProxy's own
    weight: int
    agent: bool

    @classmethod
    def of(cls, server: Server) -> "OriginalState":
        if server.admin & Admin.FORCED_MAINT:
            admin = AdminState.MAINT
        elif server.admin & Admin.FORCED_DRAIN:
            admin = AdminState.DRAIN
        else:
            admin = AdminState.READY
        return cls(admin, server.weight, server.agent)

    def to_event(self, ref: ServerRef) -> OriginalStateRecord:
        """For the journal."""
        return OriginalStateRecord(
            instance=ref.instance,
            backend=ref.backend,
            server=ref.server,
            admin=self.admin.value,
            weight=self.weight,
            agent=self.agent,
        )

    @classmethod
    def from_event(cls, said: OriginalStateRecord) -> tuple[ServerRef, "OriginalState"]:
        """From the journal. Raises ValueError for a state that there is not."""
        ref = ServerRef(said.instance, said.backend, said.server)
        return ref, cls(AdminState(said.admin), said.weight, said.agent)

    @classmethod
    def as_ready(cls, server: Server) -> "OriginalState":
        """What to give back to a server that is to be in rotation whatever it is now.

        Its agent check belongs to that: a rollout that failed has left it switched off.
        """
        return cls(AdminState.READY, server.weight, server.agent_configured)
