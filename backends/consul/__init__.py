"""Consul: its HTTP API, locks, maintenance mode, and nodes and load balancers from its catalog."""
