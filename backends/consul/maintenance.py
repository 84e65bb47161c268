"""A node as Consul's own users find it: its checks, and the maintenance that goes along with HAProxy's.

Maintenance belongs to the agent on which a service is registered, so it is set where that runs, by
`consul maint`; what it is, all servers know, and it is read back from them.
"""

import shlex
from collections.abc import Mapping

from backends.command import Command
from backends.consul.catalog import ConsulService, instance, is_maintenance
from backends.consul.client import Check, Consul, Entry
from backends.errors import UnreadableReply
from backends.hosts.execution import execute
from backends.model import Registered
from backends.protocols import Host
from backends.templates import fill_plain
from backends.text import MAX_DETAIL, shorten

ROLLOUT = "Rolldeck rollout"  # the reason that a rollout gives: such a maintenance it may end
BY_HAND = "Rolldeck by hand"  # and that of a change by hand, which only another one ends
TIMEOUT = 10.0  # seconds for the command
LONGEST = 100  # characters of a check's name or a reason: whoever registers them is not trusted
NAMED = 3  # checks; of more, how many

_ACCEPTED = {
    "none": ("passing", "warning", "critical"),
    "warning": ("passing", "warning"),
    "passing": ("passing",),
}


class Registration:
    """One instance of a service. Implements `backends.protocols.Registration`.

    Args:
        consul: is asked.
        service: that it is an instance of, and what is done there.
        node: its name, as `ConsulService.name` says.
        host: on which `consul maint` is run.
        values: for the command, as in all templates.
    """

    def __init__(
        self, consul: Consul, service: ConsulService, node: str, host: Host, values: Mapping[str, str]
    ) -> None:
        self._consul = consul
        self._service = service
        self._node = node
        self._host = host
        self._words = [fill_plain(each, values) for each in shlex.split(service.maintenance)]
        self._identity = node if service.name == "id" else ""  # else known after the first look

    @property
    def place(self) -> str:
        return "Consul"

    @property
    def leaves(self) -> bool:
        return bool(self._words)

    @property
    def gate(self) -> bool:
        return self._service.require_consul_checks != "none"

    async def look(self) -> Registered:
        """See `backends.protocols.Registration`. One that was stopped may not be registered at all."""
        service = self._service
        _, found = await self._consul.services(
            service.service, service.tags, service.datacenter, where=_where(service.name, self._node)
        )
        # A Consul before 1.5 has no filter, and gives all of them.
        own = [each for each in found if instance(each).called(service.name) == self._node]
        if len(own) > 1:
            raise UnreadableReply("consul", f"{len(own)} instances are {self._node!r} by {service.name!r}")
        if not own:
            return Registered(there=False)
        self._identity = own[0].service.identity
        return self._seen(own[0])

    def _seen(self, entry: Entry) -> Registered:
        accepted = _ACCEPTED[self._service.require_consul_checks]
        why = [_reason(each) for each in entry.checks if is_maintenance(each)]
        doubts = [
            f"{(each.name or each.identity)[:LONGEST]} is {each.status}"
            for each in entry.checks
            if not is_maintenance(each) and each.status not in accepted
        ]
        return Registered(
            there=True,
            maintenance=shorten("; ".join(why[:NAMED]), MAX_DETAIL),
            by_rollout=any(each.startswith(ROLLOUT) for each in why),
            by_hand=any(each.startswith(BY_HAND) for each in why),
            doubts=tuple(doubts[:NAMED]) + ((f"{len(doubts) - NAMED} more",) if doubts[NAMED:] else ()),
        )

    def leave_command(self, *, by_hand: bool = False) -> Command | None:
        if not self._identity:
            return None  # without a service it would be the whole machine
        reason = BY_HAND if by_hand else ROLLOUT
        return self._command("-enable", f"-reason={reason}")

    def return_command(self) -> Command | None:
        return self._command("-disable") if self._identity else None

    async def check(self) -> None:
        """Whether the command reaches its agent; it changes nothing."""
        await execute(self._host, Command(tuple(self._words)), "see maintenance in Consul", timeout=TIMEOUT)

    async def leave(self, *, by_hand: bool = False) -> None:
        await self._execute(self.leave_command(by_hand=by_hand), "set maintenance in Consul")

    async def come_back(self) -> None:
        await self._execute(self.return_command(), "end maintenance in Consul")

    async def _execute(self, command: Command | None, what: str) -> None:
        if command is None:
            raise UnreadableReply(self._host.name, f"{what}: the id of its instance is not known")
        await execute(self._host, command, what, timeout=TIMEOUT)

    def _command(self, *options: str) -> Command:
        return Command((*self._words, f"-service={self._identity}", *options))


def _where(by: str, name: str) -> str:
    """In Consul's filter language; a name has no quotes in it, see `check_value`."""
    if by == "node":
        return f'Node.Node == "{name}"'
    if by == "id":
        return f'Service.ID == "{name}"'
    key = by.removeprefix("meta:")
    return f'Service.Meta["{key}"] == "{name}" or Node.Meta["{key}"] == "{name}"'


def _reason(check: Check) -> str:
    return check.notes[:LONGEST] or "no reason given"
