"""A node: one machine or container of the application, with everything that is needed to work on it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

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
    """A node, with the adapters that are bound to it."""

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
    health_interval: float = 0.5  # seconds between two checks
    registration: Registration | None = None  # in service discovery other than HAProxy
    connections: Connections | None = None  # on its port; None where its kernel does not see them
    version_regex: str = ""  # regular expression with one group; see `reported_version`
    values: Mapping[str, str] = field(default_factory=dict, compare=False)  # of placeholders, but {version}

    def reported_version(self, version: str) -> str:
        """Return what the application itself calls this version."""
        return find_reported_version(version, self.version_regex)


def find_reported_version(version: str, version_regex: str) -> str:
    """Return what an application calls the version of its package: of 1.5.0-1 it may say 1.5.0.

    Args:
        version: of the package.
        version_regex: see `HealthKind`; empty where both are called the same.
    """
    match = re.search(version_regex, version) if version_regex else None
    return match[1] if match else version


@dataclass(frozen=True, slots=True)
class OriginalState:
    """The administrative state of one server before we touched it; it is restored exactly."""

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
        """Return the record of it for the journal."""
        return OriginalStateRecord(
            instance=ref.instance,
            backend=ref.backend,
            server=ref.server,
            admin=self.admin.value,
            weight=self.weight,
            agent=self.agent,
        )

    @classmethod
    def from_event(cls, record: OriginalStateRecord) -> tuple[ServerRef, "OriginalState"]:
        """Return it from a record of the journal. Raises ValueError for an unknown state."""
        ref = ServerRef(record.instance, record.backend, record.server)
        return ref, cls(AdminState(record.admin), record.weight, record.agent)

    @classmethod
    def as_ready(cls, server: Server) -> "OriginalState":
        """Return the state to restore for a server that is to be in rotation whatever it is now.

        Its agent check is included: a rollout that failed has left it switched off.
        """
        return cls(AdminState.READY, server.weight, server.agent_configured)
