"""The rollout: node by node, step by step."""
