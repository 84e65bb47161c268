"""The applications of a configuration at a glance: their table, its header, and the strip of rollouts."""
