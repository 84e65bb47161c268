"""What talks: HAProxy, hosts, services, installers, health checks, inventories."""
