"""Holds a lock in Consul and says at its end what `fenced_reason()` returned in every turn of the loop: see
test_consul_lock_asleep.py, which puts it to sleep meanwhile.

    python -m tests.integration.consul_holder ADDRESS KEY TTL
"""

import asyncio
import json
import sys

from backends.consul.client import Consul
from backends.consul.lock import ConsulLock
from backends.consul.settings import ConsulSettings
from backends.local_machine import SystemClock
from console.terminal.output import result


async def main(address: str, key: str, ttl: int) -> None:
    clock = SystemClock()
    consul = Consul(ConsulSettings(address=address, timeout=1))
    lock = ConsulLock(consul, key, clock, ttl, 0)
    assert await lock.try_acquire(b"the one that sleeps")
    said: list[str] = []
    last = clock.monotonic()
    result("taken")  # from now on it may be put to sleep
    while not said or not said[-1] or "suspended" in said[-1]:  # until Consul itself has said so
        # Nothing is awaited between waking and this look; and each turn of the loop has one.
        now = clock.monotonic()
        if said or now - last > ttl:
            said.append(lock.fenced_reason())
        last = now
        await asyncio.sleep(0)
    result(
        json.dumps({"first": said[0], "open": said.count(""), "last": said[-1], "lost": lock.lost_reason()})
    )
    await lock.release()
    await consul.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
