"""Instances of a service: where they are, and what Consul's checks say of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from backends.consul.client import NAME, Consul
from backends.errors import ConfigError, Unmeasured

NODE_MAINTENANCE = "_node_maintenance"
SERVICE_MAINTENANCE = "_service_maintenance:"
_WORST = ("passing", "warning", "critical")


class ConsulService(
    msgspec.Struct,
    kw_only=True,
    frozen=True,
    forbid_unknown_fields=True,
    tag_field="kind",
    tag="consul",
):
    """An inventory that Consul has.

    Attributes:
        service: its name; each instance is a node.
        tags: that an instance must have, all of them.
        datacenter: empty for that of `[consul]`.
        name: what a node is called, as HAProxy's server: the Consul "node" it runs on, the instance's "id",
            or "meta:KEY" of the service or node.
        ssh: what SSH calls its machine, likewise; empty: its address.
    """

    service: str
    tags: list[str] = []
    datacenter: str = ""
    name: str = "node"
    ssh: str = ""

    def __post_init__(self) -> None:
        if not self.service:
            raise ValueError("service: found an empty text, expected the name of a service in Consul")
        for key, value in (("name", self.name), ("ssh", self.ssh or "node")):
            if value not in ("node", "id") and not value.startswith("meta:"):
                raise ValueError(f'{key}: found {value!r}, expected "node", "id" or "meta:KEY"')


@dataclass(frozen=True, slots=True)
class Instance:
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


def instance(raw: Mapping[str, Any]) -> Instance:
    """One entry of `/v1/health/service`. Raises Unmeasured: it has not what an entry has."""
    try:
        node, service, checks = raw["Node"], raw["Service"], raw["Checks"]
        return Instance(
            identity=service["ID"],
            node=node["Node"],
            address=service["Address"] or node["Address"],
            port=int(service["Port"]),
            meta={**(node["Meta"] or {}), **(service["Meta"] or {})},
            status=_status(checks),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise Unmeasured(NAME, f"an instance without {error} in the answer") from None


def _status(checks: Sequence[Mapping[str, Any]]) -> str:
    for each in checks:
        if each["CheckID"] == NODE_MAINTENANCE or each["CheckID"].startswith(SERVICE_MAINTENANCE):
            return "maintenance"
    return max((each["Status"] for each in checks), key=_WORST.index, default="passing")


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
    return after, dict(sorted(found.items()))
