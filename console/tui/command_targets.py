"""What a command of the operator's own is run for: lines of a screen, and the values that they have."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from textual.screen import Screen

from console.tui.late_errors import is_open
from console.tui.node_shell import find_node
from orchestrator.session.session import Session
from widgets.table.by_server import RowKey


@dataclass(frozen=True, slots=True)
class CommandTargets:
    """What a command is run for.

    Attributes:
        session: of the application.
        read_only: why nothing may be changed; empty when it may.
        keys: backend and server name of each line.
    """

    session: Session
    read_only: str
    keys: Sequence[RowKey]

    def name(self, key: RowKey) -> str:
        """Return the node of a line, or the server if it is none."""
        return self.session.names.get(key, key[1])

    def values(self, key: RowKey) -> dict[str, str]:
        """Return the values of placeholders; what is not known is empty or not there."""
        backend, server = key
        name = self.name(key)
        node = find_node(self.session, name)
        backends = self.session.application.balancer_group.backends
        return {
            **(node.values if node is not None else {}),
            "app": self.session.application.name,
            "node": name,
            "backend": backend or (backends[0] if len(backends) == 1 else ""),
            "server": server,
            "version": self.session.versions.by_node.get(name, ""),
        }


def targets_of(screen: Screen[Any], node: str = "") -> CommandTargets | None:
    """Return what a screen is about: a node of this name, else marked lines or that of the cursor.

    None is for screens without any, such as dialogs, and for one that has no lines yet, or no more.
    """
    found = getattr(screen, "command_targets", None)
    targets: CommandTargets | None = found() if found is not None and is_open(screen) else None
    return replace(targets, keys=[("", node)]) if targets is not None and node else targets
