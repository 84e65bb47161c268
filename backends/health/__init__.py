"""Ways to see an application's own health. See `backends.protocols.HealthCheck`."""
