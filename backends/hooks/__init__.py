"""Hooks: commands and URLs of the operator's that are informed of a rollout, and may object."""
