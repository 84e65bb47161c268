"""The plan of a rollout and what it is computed from, as values."""
