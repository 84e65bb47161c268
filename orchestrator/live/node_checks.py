"""The checks that Rolldeck makes of a node in a rollout, made now for an operator; nothing is changed."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from backends.errors import RolldeckError
from backends.node_state import Activity
from orchestrator.node import Node

CHECK_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class NodeCheck:
    """One check.

    Attributes:
        name: what was checked, such as "service".
        passed: None when the answer says neither yes nor no, or there was none.
        words: the answer, or why there was none.
    """

    name: str
    passed: bool | None
    words: str


async def read_checks(node: Node) -> tuple[NodeCheck, ...]:
    """Make all checks of a node at once; a check that cannot be made is one that has not passed or failed."""
    checks: dict[str, Callable[[Node], Awaitable[tuple[bool | None, str]]]] = {
        "service": _check_service,
        "port": _check_port,
        "health": _check_health,
        "installed": _read_installed,
    }
    return tuple(await asyncio.gather(*(_check(name, partial(make, node)) for name, make in checks.items())))


async def _check(name: str, make: Callable[[], Awaitable[tuple[bool | None, str]]]) -> NodeCheck:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            return NodeCheck(name, *await make())
    except TimeoutError:
        return NodeCheck(name, None, f"no answer within {CHECK_TIMEOUT_S:g} s")
    except RolldeckError as error:
        return NodeCheck(name, None, str(error))


async def _check_service(node: Node) -> tuple[bool | None, str]:
    state = await node.service.state()
    passed = None if state.activity is Activity.CHANGING else state.activity is Activity.RUNNING
    pid = f", pid {state.pid}" if state.pid is not None and "pid" not in state.detail else ""
    return passed, f"{state.activity}: {state.detail}{pid}"


async def _check_port(node: Node) -> tuple[bool | None, str]:
    is_open = await node.port_probe.is_open()
    return is_open, f"{node.port} is {'open' if is_open else 'closed'}"


async def _check_health(node: Node) -> tuple[bool | None, str]:
    result = await node.health.check()
    version = f", version {result.version}" if result.version else ""
    return result.ok, f"{result.detail}{version}"


async def _read_installed(node: Node) -> tuple[bool | None, str]:
    return None, await node.installer.installed() or "nothing"
