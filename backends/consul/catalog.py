"""Instances of a service in Consul: their addresses, their checks and their maintenance mode.

The agent on which a service is registered owns its maintenance, so `consul maint` runs where that agent
runs. All servers know the resulting state, and it is read back from them.
"""

import shlex
from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from backends.command import Command
from backends.consul.answers import Check, Entry
from backends.consul.client import Consul
from backends.errors import ConfigError, UnreadableReply
from backends.hosts.execution import execute
from backends.node_state import Registered
from backends.protocols import Host
from backends.templates import NodeShell, TaggedSettings, check_words, fill_plain
from backends.text import MAX_DETAIL_CHARS, shorten

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
        identity: the id of the service on its agent.
        node: Consul's name for the node that it runs on.
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
    """Return the instance of an entry; the service's own address comes before that of its node."""
    node, service = entry.node, entry.service
    return Instance(
        service.identity,
        node.node,
        service.address or node.address,
        service.port,
        {**(node.meta or {}), **(service.meta or {})},
        _worst_status(entry.checks),
    )


def is_maintenance(check: Check) -> bool:
    """Return whether a check is the maintenance of the machine or of the service."""
    return check.identity == NODE_MAINTENANCE or check.identity.startswith(SERVICE_MAINTENANCE)


def _worst_status(checks: Sequence[Check]) -> str:
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


ROLLOUT_REASON = "Rolldeck rollout"  # a rollout may end a maintenance with this reason
MANUAL_REASON = "Rolldeck by hand"  # only another manual change ends a maintenance with this one
COMMAND_TIMEOUT_S = 10.0
MAX_TEXT_CHARS = 100  # of a check's name or a reason: those who register them are not trusted
MAX_NAMED_CHECKS = 3  # the others are only counted

_ACCEPTED = {
    "none": ("passing", "warning", "critical"),
    "warning": ("passing", "warning"),
    "passing": ("passing",),
}


class ConsulRegistration:
    """One instance of a service. Implements `backends.protocols.Registration`.

    Args:
        consul: the client.
        service: the settings of the service that the node is an instance of.
        node: the name of the node, as `ConsulService.name` defines it.
        host: where `consul maint` runs.
        values: placeholders for the command, as in all templates.
    """

    def __init__(
        self, consul: Consul, service: ConsulService, node: str, host: Host, values: Mapping[str, str]
    ) -> None:
        self._consul = consul
        self._service = service
        self._node = node
        self._host = host
        self._words = [fill_plain(word, values) for word in shlex.split(service.maintenance)]
        self._identity = node if service.name == "id" else ""  # otherwise known after the first query

    @property
    def name(self) -> str:
        return "Consul"

    @property
    def sync_maintenance(self) -> bool:
        return bool(self._words)

    @property
    def gate_on_checks(self) -> bool:
        return self._service.require_consul_checks != "none"

    async def query(self) -> Registered:
        """See `backends.protocols.Registration`. A node that was stopped may not be registered at all."""
        service = self._service
        _, found = await self._consul.services(
            service.service, service.tags, service.datacenter, where=_build_filter(service.name, self._node)
        )
        # Consul before 1.5 has no filter and returns all instances.
        own = [entry for entry in found if instance(entry).name_by(service.name) == self._node]
        if len(own) > 1:
            raise UnreadableReply("consul", f"{len(own)} instances are {self._node!r} by {service.name!r}")
        if not own:
            return Registered(exists=False)
        self._identity = own[0].service.identity
        return self._build_registered(own[0])

    def _build_registered(self, entry: Entry) -> Registered:
        accepted = _ACCEPTED[self._service.require_consul_checks]
        reasons = [_reason_of(check) for check in entry.checks if is_maintenance(check)]
        failing = [
            f"{(check.name or check.identity)[:MAX_TEXT_CHARS]} is {check.status}"
            for check in entry.checks
            if not is_maintenance(check) and check.status not in accepted
        ]
        return Registered(
            exists=True,
            maintenance=shorten("; ".join(reasons[:MAX_NAMED_CHECKS]), MAX_DETAIL_CHARS),
            set_by_rollout=any(reason.startswith(ROLLOUT_REASON) for reason in reasons),
            set_manually=any(reason.startswith(MANUAL_REASON) for reason in reasons),
            failing_checks=tuple(failing[:MAX_NAMED_CHECKS])
            + ((f"{len(failing) - MAX_NAMED_CHECKS} more",) if failing[MAX_NAMED_CHECKS:] else ()),
        )

    def enable_command(self, *, manually: bool = False) -> Command | None:
        if not self._identity:
            return None  # without an id, `consul maint` would mean the whole machine
        reason = MANUAL_REASON if manually else ROLLOUT_REASON
        return self._build_command("-enable", f"-reason={reason}")

    def disable_command(self) -> Command | None:
        return self._build_command("-disable") if self._identity else None

    async def check(self) -> None:
        """Raise BackendError unless the command reaches its agent. This changes nothing."""
        await execute(
            self._host, Command(tuple(self._words)), "see maintenance in Consul", timeout=COMMAND_TIMEOUT_S
        )

    async def enable_maintenance(self, *, manually: bool = False) -> None:
        await self._execute(self.enable_command(manually=manually), "set maintenance in Consul")

    async def disable_maintenance(self) -> None:
        await self._execute(self.disable_command(), "end maintenance in Consul")

    async def _execute(self, command: Command | None, what: str) -> None:
        if command is None:
            raise UnreadableReply(self._host.name, f"{what}: the id of its instance is not known")
        await execute(self._host, command, what, timeout=COMMAND_TIMEOUT_S)

    def _build_command(self, *options: str) -> Command:
        return Command((*self._words, f"-service={self._identity}", *options))


def _build_filter(by: str, name: str) -> str:
    """Return a filter in Consul's language; a name has no quotes in it, see `check_value`."""
    if by == "node":
        return f'Node.Node == "{name}"'
    if by == "id":
        return f'Service.ID == "{name}"'
    key = by.removeprefix("meta:")
    return f'Service.Meta["{key}"] == "{name}" or Node.Meta["{key}"] == "{name}"'


def _reason_of(check: Check) -> str:
    return check.notes[:MAX_TEXT_CHARS] or "no reason given"
