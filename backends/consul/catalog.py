"""Instances of a service in Consul: their addresses and the status of their checks."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from backends.consul.client import Check, Consul, Entry
from backends.errors import ConfigError
from backends.kinds import TaggedSettings
from backends.templates import NodeShell, check_words

NODE_MAINTENANCE = "_node_maintenance"
SERVICE_MAINTENANCE = "_service_maintenance:"


class ConsulService(TaggedSettings, kw_only=True, frozen=True, tag="consul"):
    """An inventory of nodes that Consul holds.

    Attributes:
        service: name of the service; each of its instances is a node.
        tags: tags that an instance must have, all of them.
        datacenter: empty for the one of `[consul]`.
        name: where the name of a node, and of its servers in HAProxy, comes from: the Consul "node" it runs
            on, the instance's "id", or "meta:KEY" of the service or node.
        ssh: where the name of its machine for SSH comes from, likewise; empty: the address.
        require_consul_checks: the status that Consul's checks must have before the verify step puts a node
            back: "passing", or not worse than "warning".
        maintenance: the command `consul maint` as it runs beside the agent of a node; the maintenance lasts
            while a rollout works on the node. Empty: no maintenance in Consul.
        on_change: what a rollout does when the inventory has changed since the plan: "confirm" before the
            next node, or only "notify".
    """

    service: str
    tags: list[str] = msgspec.field(default_factory=list)
    datacenter: str = ""
    name: str = "node"
    ssh: str = ""
    require_consul_checks: Literal["none", "passing", "warning"] = "none"
    maintenance: NodeShell = ""
    on_change: Literal["confirm", "notify"] = "confirm"

    def __post_init__(self) -> None:
        if not self.service:
            raise ValueError("service: found an empty text, expected the name of a service in Consul")
        for key, value in (("name", self.name), ("ssh", self.ssh or "node")):
            if value not in ("node", "id") and not value.startswith("meta:"):
                raise ValueError(f'{key}: found {value!r}, expected "node", "id" or "meta:KEY"')
        check_words("maintenance", self.maintenance)
        if any(word.lstrip("-").partition("=")[0] == "token" for word in shlex.split(self.maintenance)):
            raise ValueError(
                "maintenance: a -token would be shown; expected -token-file, or the environment there"
            )


class Instance(msgspec.Struct, frozen=True, gc=False):
    """One instance of a service.

    Attributes:
        identity: of the service on its agent.
        node: that it runs on, by Consul's name.
        status: the worst of its checks: passing, warning, critical; or maintenance.
    """

    identity: str
    node: str
    address: str
    port: int
    meta: Mapping[str, str]
    status: str

    def name_by(self, by: str) -> str:
        """Return the name that `ConsulService.name` selects; empty when the instance has no such meta."""
        if by == "node":
            return self.node
        return self.identity if by == "id" else self.meta.get(by.removeprefix("meta:"), "")


def instance(entry: Entry) -> Instance:
    """Of an entry of the catalogue; the service's own address comes before that of its node."""
    node, service = entry.node, entry.service
    return Instance(
        service.identity,
        node.node,
        service.address or node.address,
        service.port,
        {**(node.meta or {}), **(service.meta or {})},
        _status(entry.checks),
    )


def is_maintenance(check: Check) -> bool:
    """Return whether a check is the maintenance of the machine or of the service."""
    return check.identity == NODE_MAINTENANCE or check.identity.startswith(SERVICE_MAINTENANCE)


def _status(checks: Sequence[Check]) -> str:
    worst = "passing"
    for check in checks:
        if is_maintenance(check):
            return "maintenance"
        if check.status == "critical" or worst == "passing":
            worst = check.status
    return worst


async def instances(
    consul: Consul, settings: ConsulService, index: int = 0, wait: float = 0
) -> tuple[int, dict[str, Instance]]:
    """Read all instances of a service, by their names; index and wait are those of `Consul.services`.

    Raises:
        BackendError: Consul does not answer.
        ConfigError: two instances have the same name, or one has none.
    """
    after, raw = await consul.services(settings.service, settings.tags, settings.datacenter, index, wait)
    found: dict[str, Instance] = {}
    for entry in raw:
        candidate = instance(entry)
        name = candidate.name_by(settings.name)
        if not name:
            raise ConfigError("", "inventory.name", f"{candidate.identity} in Consul has no {settings.name}")
        if name in found:
            raise ConfigError(
                "",
                "inventory.name",
                f"{candidate.identity} and {found[name].identity} are both {name!r} by {settings.name!r};"
                ' expected one that tells them apart, such as name = "id"',
            )
        found[name] = candidate
    return after, {name: found[name] for name in sorted(found)}
