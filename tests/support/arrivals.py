"""Times between the requests of a load that come at random."""

import random
from collections.abc import Iterator


def poisson(rng: random.Random) -> Iterator[float]:
    """Yield times between independent arrivals, with the mean 1."""
    while True:
        yield rng.expovariate(1.0)


def bursts(rng: random.Random, rate: float) -> Iterator[float]:
    """Yield times between arrivals whose rate changes each second, with the mean 1.

    The rate of a second is that of the load times a gamma variable of mean 1 and variance 0.5.

    Args:
        rng: the source of chance.
        rate: mean arrivals per second.
    """
    factor, left = rng.gammavariate(2, 0.5), rate
    while True:
        wanted, gap = rng.expovariate(1.0), 0.0
        while wanted > left * factor:
            wanted -= left * factor
            gap += left
            factor, left = rng.gammavariate(2, 0.5), rate
        left -= wanted / factor
        yield gap + wanted / factor
