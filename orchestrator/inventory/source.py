"""Where the nodes of an application come from.

HAProxy completes each source: it has the addresses and ports that a source leaves out, and where a source
names no node at all, every server is one (see `orchestrator.inventory.resolver`).
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Literal, Protocol

import msgspec

from backends.protocols import Host, Registration
from backends.templates import NoText, check_host, check_port, check_value, check_words
from orchestrator.planning.findings import Finding


class NodeSettings(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """One node. What is left out comes from the application, or from HAProxy."""

    address: str = ""  # as HAProxy has it; default: HAProxy's own
    port: int = 0
    ssh: str = ""  # host, or a Host of ~/.ssh/config; default: the address
    ssh_user: str = ""  # instead of what [ssh] or ~/.ssh/config says
    ssh_port: int = 0
    servers: list[str] = []  # names in HAProxy, "web1" or "backend/web1"; default: the node's name
    transport: Literal["ssh", "local", ""] = ""
    sudo: bool | None = None
    prefix: NoText | None = None

    def __post_init__(self) -> None:
        for name, port in (("port", self.port), ("ssh_port", self.ssh_port)):
            if not 0 <= port <= 65535:
                raise ValueError(f"{name}: found {port}, expected 1 to 65535")
        check_words("prefix", self.prefix or "")


class FoundNode(msgspec.Struct, frozen=True, gc=False):
    """A node as a source that changes has it. Others write there, so nothing of it can be used unchecked.

    Attributes:
        identity: what the source itself calls it, for errors.
        port: 0 where only the configuration or HAProxy knows it.
        ssh: what SSH calls its machine; empty for its address.
    """

    identity: str
    address: str
    port: int = 0
    ssh: str = ""


class NodeSource(Protocol):
    """Says which nodes an application has.

    Attributes:
        name: of the source in sentences, such as "Consul".
        confirms_changes: a rollout asks before it goes on to the next node when the nodes are not those of
            its plan any more; otherwise that is only told.
    """

    @property
    def name(self) -> str: ...

    @property
    def confirms_changes(self) -> bool: ...

    async def read(self) -> Mapping[str, NodeSettings]:
        """The nodes as they are now, in order.

        Raises:
            ConfigError: what the source says cannot be used.
            BackendError: it could not be asked.
        """

    def watch(self) -> AsyncGenerator[Mapping[str, FoundNode], None] | None:
        """The nodes now, and again whenever they may have changed; None for a source that never changes.

        It never ends by itself. What it raises is told, and then it is called again.
        """

    def registration(self, node: str, host: Host, values: Mapping[str, str]) -> Registration | None:
        """Where others than HAProxy look a node up, if anything is to be done about that.

        Args:
            node: its name.
            host: it.
            values: what templates may name.
        """

    def remarks(self) -> Sequence[Finding]:
        """What preflight is to say of the nodes that were read last, such as by what."""


def checked_nodes(found: Mapping[str, FoundNode]) -> dict[str, NodeSettings]:
    """Nodes as the configuration would have them.

    Raises:
        ConfigError: a name, an address or a port that cannot be used.
    """
    nodes = {}
    for name, node in found.items():
        of = f"of {node.identity}"
        check_value(f"inventory: name {of}", name)
        check_host(f"inventory: address {of}", node.address)
        check_host(f"inventory: ssh {of}", node.ssh or node.address)
        if node.port:  # without one, it comes from the configuration or from HAProxy
            check_port(f"inventory: port {of}", node.port)
        nodes[name] = NodeSettings(address=node.address, port=node.port, ssh=node.ssh)
    return nodes
