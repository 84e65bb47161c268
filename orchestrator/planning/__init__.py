"""A rollout as a value that is looked at before anything is touched."""
