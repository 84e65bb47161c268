"""The engine of a running rollout: batches, nodes and steps."""
