"""Back to the versions that the nodes had: which nodes, which versions, and how."""

from collections.abc import Collection, Mapping
from typing import Any

from orchestrator.policy import Policy

_ORDERS = {
    "inventory": "reverse",
    "reverse": "inventory",
    "sorted": "reverse_sorted",
    "reverse_sorted": "sorted",
}


def way_back(before: Mapping[str, str], touched: Collection[str]) -> tuple[dict[str, str], list[str]]:
    """The version for each node that was touched, and those of which nobody knows what they had."""
    return (
        {name: before[name] for name in touched if name in before},
        sorted(name for name in touched if name not in before),
    )


def changes(policy: Policy) -> dict[str, Any]:
    """Of the policy: in reverse order, in the largest batches, without canary, bake or questions.

    The gates stay: floor, own health, HAProxy's checks.
    """
    serial = policy.serial[-1] if isinstance(policy.serial, list) else policy.serial
    return {
        "order": _ORDERS[policy.order],
        "serial": serial,
        "bake": 0.0,
        "confirm": "none",
        "on_failure": "stop",
    }
