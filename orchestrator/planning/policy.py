"""How a rollout is to be carried out: the `[apps.NAME.rollout]` table. All times are seconds."""

from typing import Literal

import msgspec

Amount = int | str
"""A number of nodes, or a share of them such as "30%"."""


class Policy(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Defaults suit a service that takes up to a minute or two to start."""

    serial: Amount | list[Amount] = 1  # batch sizes, as in Ansible; the last one repeats
    order: Literal["inventory", "reverse", "sorted", "reverse_sorted"] = "inventory"
    confirm: Literal["none", "node", "batch", "step"] = "none"
    on_failure: Literal["stop", "rollback-node", "rollback-all"] = "stop"  # when nobody is there to decide
    two_way: Literal["off", "check"] = "check"  # preflight looks whether the versions of now can be had again
    max_fail_percentage: float = 0.0  # of a batch; exceeding it (not reaching it) stops the rollout
    min_available: Amount = "50%"  # in rotation at any moment, in each backend on each load balancer
    max_unavailable: Amount | None = None  # the same floor, seen from the other side
    capacity_timeout: float = 60.0  # wait so long for capacity lost elsewhere to come back
    host_timeout: float = 30.0  # before a node is taken out, keep asking its host and service manager
    balancer_unreachable_timeout: float = 30.0  # in the middle, keep asking one that does not answer
    drain_timeout: float = 300.0  # wait so long for sessions to end, then maintenance
    maint_grace_period: float = 10.0  # in maintenance, wait so long for the last sessions
    on_remaining_sessions: Literal["proceed", "fail", "shutdown"] = "proceed"  # when some remain after that
    stop_timeout: float = 60.0
    install_timeout: float = 600.0
    start_timeout: float = 180.0
    start_grace: float = 10.0  # a service that is found dead has so long to be up again
    verify_timeout: float = 300.0
    require_haproxy_checks: bool = True  # they prove a node before `ready`, where there are any
    min_healthy: float = 3.0  # own health is good for so long before `ready`
    bake_time: float = 5.0  # watch a node so long after it is back, before going on
    max_5xx: int = 0  # errors that clients may see because of a node from `ready` to the end of its bake

    def __post_init__(self) -> None:
        serial = self.serial if isinstance(self.serial, list) else [self.serial]
        if not serial:
            raise ValueError("serial: found an empty list, expected at least one batch size")
        for size in serial:
            _check("serial", size, least=1)
        _check("min_available", self.min_available, least=0)
        if self.max_unavailable is not None:
            _check("max_unavailable", self.max_unavailable, least=1)
        if not 0 <= self.max_fail_percentage <= 100:
            raise ValueError(f"max_fail_percentage: found {self.max_fail_percentage}, expected 0 to 100")
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if isinstance(value, float | int) and not value >= 0:  # also of "nan"
                raise ValueError(f"{name}: found {value}, expected 0 or more")
        if self.min_healthy >= self.verify_timeout:
            raise ValueError(
                f"min_healthy: found {self.min_healthy:g}, expected less than verify_timeout,"
                f" which is {self.verify_timeout:g}"
            )


def _check(name: str, amount: Amount, *, least: int) -> None:
    try:
        number = resolve_count(amount, 100)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    if number < least:
        raise ValueError(f"{name}: found {amount!r}, expected at least 1 or 1%")


def resolve_count(amount: Amount, total: int, *, up: bool = False) -> int:
    """The number of nodes that an amount stands for.

    Args:
        amount: a number, or a percentage such as "30%".
        total: what the percentage is of.
        up: round up (floors do: half of 3 is 2); otherwise down (batches do, as in Ansible).

    Raises:
        ValueError: neither a number of 0 or more nor a percentage from 0 to 100.
    """
    if isinstance(amount, int):
        if amount < 0:
            raise ValueError(f"found {amount}, expected 0 or more, or a percentage")
        return amount
    text = amount.strip()
    digits = text.removesuffix("%").strip()
    if not digits.isascii() or not digits.isdigit():
        raise ValueError(f'found {amount!r}, expected a number or a percentage such as "30%"')
    number = int(digits)
    if not text.endswith("%"):
        return number
    if number > 100:
        raise ValueError(f"found {amount!r}, expected at most 100%")
    product = number * total
    return -(-product // 100) if up else product // 100
