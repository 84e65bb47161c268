"""What load balancers' configuration files say, read once for all that follows from it."""

import asyncio
from collections.abc import Mapping

from backends.errors import BackendError
from backends.protocols import LoadBalancer, LoadBalancerFacts

Facts = LoadBalancerFacts | BackendError
"""Of one load balancer, or why its configuration could not be looked at."""


async def read_facts(balancers: Mapping[str, LoadBalancer]) -> dict[str, Facts]:
    """Look at all of them, side by side; by name."""
    found = await asyncio.gather(*map(_read, balancers.values()))
    return dict(zip(balancers, found, strict=True))


async def _read(balancer: LoadBalancer) -> Facts:
    try:
        return await balancer.facts()
    except BackendError as error:
        return error
