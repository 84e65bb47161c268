"""The interface of the sources of nodes, and the settings of a node.

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
    """The settings of one node. What is left out comes from the application, or from HAProxy."""

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
    """A node in a source that changes. Others write there, so all of it must be checked before use.

    Attributes:
        identity: its name in the source, for errors.
        port: 0 where only the configuration or HAProxy knows it.
        ssh: what SSH calls its machine; empty for its address.
    """

    identity: str
    address: str
    port: int = 0
    ssh: str = ""


class NodeSource(Protocol):
    """The source of an application's nodes.

    Attributes:
        name: of the source in sentences, such as "Consul".
        confirms_changes: a rollout asks before it goes on to the next node when the nodes are not those of
            its plan any more; otherwise that is only reported.
    """

    @property
    def name(self) -> str: ...

    @property
    def confirms_changes(self) -> bool: ...

    async def read(self) -> Mapping[str, NodeSettings]:
        """Return the nodes as they are now, in order.

        Raises:
            ConfigError: the nodes in the source cannot be used.
            BackendError: it could not be asked.
        """

    def watch(self) -> AsyncGenerator[Mapping[str, FoundNode], None] | None:
        """Yield the nodes now, and whenever they may have changed; None for a source that never changes.

        It never ends by itself. An error that it raises is reported, and then it is called again.
        """

    def registration(self, node: str, host: Host, values: Mapping[str, str]) -> Registration | None:
        """Return the registration of a node elsewhere than in HAProxy, if anything is to be done about it.

        Args:
            node: its name.
            host: it.
            values: what templates may name.
        """

    def remarks(self) -> Sequence[Finding]:
        """Return what preflight is to say about the nodes that were read last."""


def check_nodes(found: Mapping[str, FoundNode]) -> dict[str, NodeSettings]:
    """Return the settings of nodes from such a source.

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
