"""Back to the versions that the nodes had: how."""

from typing import Any

from orchestrator.planning.policy import Policy

_ORDERS = {
    "inventory": "reverse",
    "reverse": "inventory",
    "sorted": "reverse_sorted",
    "reverse_sorted": "sorted",
}


def changes(policy: Policy) -> dict[str, Any]:
    """Of the policy: in reverse order, in the largest batches, without canary, bake or questions.

    The gates stay: floor, own health, HAProxy's checks.
    """
    serial = policy.serial[-1] if isinstance(policy.serial, list) else policy.serial
    return {
        "order": _ORDERS[policy.order],
        "serial": serial,
        "bake_time": 0.0,
        "confirm": "none",
        "on_failure": "stop",
    }
