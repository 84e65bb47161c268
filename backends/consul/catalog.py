"""Instances of a service: where they are, and what Consul's checks say of them."""

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
    """An inventory that Consul has.

    Attributes:
        service: its name; each instance is a node.
        tags: that an instance must have, all of them.
        datacenter: empty for that of `[consul]`.
        name: what a node is called, as HAProxy's server: the Consul "node" it runs on, the instance's "id",
            or "meta:KEY" of the service or node.
        ssh: what SSH calls its machine, likewise; empty: its address.
        require_consul_checks: what Consul's checks must say before a node goes back, in the verify step:
            "passing", or not worse than "warning".
        maintenance: `consul maint` as it is called where the agent of a node runs; set while the node is
            worked on. Empty: Consul is left alone.
        on_change: what a rollout does when the inventory is not that of the plan any more: "confirm" before
            it goes on to the next node, or only "notify".
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
        if any(each.lstrip("-").partition("=")[0] == "token" for each in shlex.split(self.maintenance)):
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

    def called(self, by: str) -> str:
        """Its name as `ConsulService.name` says; empty when it has no such meta."""
        if by == "node":
            return self.node
        return self.identity if by == "id" else self.meta.get(by.removeprefix("meta:"), "")


def instance(entry: Entry) -> Instance:
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
    """Of the machine or of the service."""
    return check.identity == NODE_MAINTENANCE or check.identity.startswith(SERVICE_MAINTENANCE)


def _status(checks: Sequence[Check]) -> str:
    worst = "passing"
    for each in checks:
        if is_maintenance(each):
            return "maintenance"
        if each.status == "critical" or worst == "passing":
            worst = each.status
    return worst


async def instances(
    consul: Consul, settings: ConsulService, index: int = 0, wait: float = 0
) -> tuple[int, dict[str, Instance]]:
    """All of a service, by their names; with an index and a wait as in `Consul.services`.

    Raises:
        BackendError: Consul could not be asked.
        ConfigError: two of them have the same name, or one has none.
    """
    after, raw = await consul.services(settings.service, settings.tags, settings.datacenter, index, wait)
    found: dict[str, Instance] = {}
    for each in map(instance, raw):
        name = each.called(settings.name)
        if not name:
            raise ConfigError("", "inventory.name", f"{each.identity} in Consul has no {settings.name}")
        if name in found:
            raise ConfigError(
                "",
                "inventory.name",
                f"{each.identity} and {found[name].identity} are both {name!r} by {settings.name!r};"
                ' expected one that tells them apart, such as name = "id"',
            )
        found[name] = each
    return after, {name: found[name] for name in sorted(found)}
