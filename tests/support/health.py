"""One health check of an application on 127.0.0.1, with everything that it needs."""

from typing import Any

import msgspec

from backends.health.http import HttpHealth
from backends.hosts.local import LocalHost
from backends.kinds import HealthCheckFactory
from backends.node_state import HealthResult


async def look(port: int, **settings: Any) -> HealthResult:
    """Look by the settings that are given; the page is `/health` if they do not say."""
    defaults = {"url": "http://{address}:{port}/health"}
    checks = HealthCheckFactory(
        msgspec.convert({**defaults, **settings}, HttpHealth), "apps.shop.health", LocalHost("here")
    )
    values = {"address": "127.0.0.1", "port": str(port), "app": "shop", "node": "web1"}
    try:
        return await checks.create(LocalHost("web1"), values).check()
    finally:
        await checks.close()
