"""Adapters: HAProxy, hosts, services, installers, health checks, hooks, inventories and Consul."""

import sys

# httpx brings its own command line, and with it rich and pygments, wherever they are installed: a quarter of
# what its import costs. It does without where that cannot be imported.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type] # None: cannot be imported
