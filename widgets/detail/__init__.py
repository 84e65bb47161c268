"""The detail of one node: its load balancers, sessions and journal."""
