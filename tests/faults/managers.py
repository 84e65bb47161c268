"""Who looks after the nodes' service in a case: the demo's commands, or a real service manager."""

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal

from console.demo.node import Node
from console.demo.stack import Stack
from tests.integration.monit_nodes import watched_by_monit

Manager = Literal["command", "monit"]

DELAY_S = 0.4  # that a start and a stop take at least, so that a fault can strike in them


@dataclass(frozen=True, slots=True)
class Managed:
    """One kind of service manager.

    Attributes:
        column: its name in the table.
        service: the table `[apps.shop.service]`, for a login into the node's directory.
        watching: lets it look after the service of a node until the block ends.
    """

    column: str
    service: Mapping[str, str]
    watching: Callable[[Node], AbstractContextManager[None]]


MANAGERS: Mapping[Manager, Managed] = {
    "command": Managed(
        "Commands",
        {
            "kind": "command",
            "start": f"sleep {DELAY_S}; ./appctl start",
            "stop": f"sleep {DELAY_S}; ./appctl stop",
            "status": "./appctl status",
            "pid_file": "app.pid",
        },
        lambda _: contextlib.nullcontext(),
    ),
    "monit": Managed(
        "Monit",
        {"kind": "monit", "name": "shop", "command": "bin/monit"},
        lambda node: watched_by_monit(node, delay_s=DELAY_S),
    ),
}


@contextlib.contextmanager
def managed(stack: Stack, manager: Manager) -> Iterator[None]:
    """The manager looks after the service of every node, and the configuration says so."""
    chosen = MANAGERS[manager]
    head, _, rest = stack.config_path.read_text().partition("[apps.shop.service]\n")
    lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in chosen.service.items())
    stack.config_path.write_text(f"{head}[apps.shop.service]\n{lines}\n[{rest.partition(chr(10) + '[')[2]}")
    with contextlib.ExitStack() as watching:
        for node in stack.nodes.values():
            watching.enter_context(chosen.watching(node))
        yield
