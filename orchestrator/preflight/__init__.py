"""The checks before a rollout, which change nothing, and the dry run."""
