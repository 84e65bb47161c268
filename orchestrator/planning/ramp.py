"""The stages of a weight ramp, and where a weight limits what a server gets. Pure.

Measured on HAProxy 2.2 to 3.2: `roundrobin`, `random` and consistent hashes follow a weight; `show stat`
calls `random` "unknown". `leastconn` does not while a server is idle, and `first` never does. Static
algorithms only accept 0 % and 100 %. HAProxy rounds a weight in per cent down, a small one to 0, so that
stages are set as absolute weights.
"""

from collections.abc import Mapping, Sequence

from backends.model import HASH_ALGORITHMS, AdminState, Server, ServerRef
from orchestrator.node import OriginalState

MIN_WEIGHT = 10  # below it, a tenth of the weight is no weight of its own
STAGE_REQUESTS = 200  # requests after which a stage may be left
STAGE_DURATION_S = 60.0  # after which it may be left with fewer
FULL_SHARE = 0.9  # of its original weight, from which on a server counts for the floor

_FOLLOW_WEIGHTS = ("roundrobin", "random", "unknown")


def compute_stage_weight(original: int, percent: int) -> int:
    """Return the absolute weight of a stage, at least 1: with 0 a server would get nothing."""
    return max(1, round(original * percent / 100))


def has_full_share(server: Server, weight: int) -> bool:
    """Return whether a server has its original weight, or nearly."""
    return server.weight >= FULL_SHARE * weight


def is_lowered(server: Server, original: OriginalState) -> bool:
    """Return whether a server has a part of its original weight; with 0 it is out of rotation."""
    return 0 < server.weight < original.weight


def find_servers_on_return(originals: Mapping[ServerRef, OriginalState]) -> list[ServerRef]:
    """Return the servers that get traffic again once their node is done."""
    return [
        ref
        for ref, original in originals.items()
        if original.admin is AdminState.READY and original.weight > 0
    ]


def explain_algorithm(algorithm: str, *, consistent: bool | None = None) -> str:
    """Explain why servers do not follow their weight, with the way out; empty where they do.

    Args:
        algorithm: as HAProxy reports it, such as "roundrobin".
        consistent: whether the backend has `hash-type consistent`; None: not known.
    """
    algorithm = algorithm.split("(")[0]
    if algorithm in _FOLLOW_WEIGHTS or (consistent and algorithm in HASH_ALGORITHMS):
        return ""
    if algorithm == "leastconn":
        return (
            "with leastconn an idle server gets every next request, whatever its weight;"
            " `balance roundrobin` or `balance random` makes a ramp possible"
        )
    if algorithm == "first":
        return "`balance first` ignores weights; `balance roundrobin` makes a ramp possible"
    if algorithm == "static-rr":
        return "static-rr only accepts 0 % and 100 %; `balance roundrobin` makes a ramp possible"
    if algorithm in HASH_ALGORITHMS and consistent is None:
        return (
            f"{algorithm} needs `hash-type consistent` for it, and whether that is set is unknown: HAProxy's"
            " configuration file could not be read"
        )
    if algorithm in HASH_ALGORITHMS:
        return (
            f"without `hash-type consistent`, {algorithm} only accepts 0 % and 100 %;"
            " with it, a ramp is possible"
        )
    return f"whether its algorithm{algorithm and f' ({algorithm})'} follows weights is not known"


def explain_weight(weight: int) -> str:
    """Explain why an original weight is too small for stages, with the way out; empty where it is not."""
    if weight >= MIN_WEIGHT:
        return ""
    return (
        f"its weight is {weight}, of which there is no tenth: set `weight 100` on all servers of the backend,"
        " which distributes requests as before and makes a ramp possible"
    )


def format_stages(stages: Sequence[int]) -> str:
    """Format as `10 %, 50 %, then 100 %`."""
    first = ", ".join(f"{percent} %" for percent in stages[:-1])
    return f"{first}, then {stages[-1]} %" if first else f"{stages[-1]} %"
