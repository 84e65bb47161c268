"""Waits for changes of a service in Consul, as a console would: see consul.py, which looks what that costs.

python -m tests.bench.consul_watcher ADDRESS SERVICE
"""

import asyncio
import sys

from backends.consul.catalog import ConsulService, instances
from backends.consul.client import Consul
from backends.consul.settings import ConsulSettings
from console.terminal.output import result

WAIT = 30.0  # seconds that one query may block


async def main(address: str, service: str) -> None:
    consul = Consul(ConsulSettings(address=address, timeout=30))
    settings = ConsulService(service=service)
    index, _ = await instances(consul, settings)
    result("ready")
    while True:
        after, _ = await instances(consul, settings, index, WAIT)
        index = after if after >= index else 0


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
