"""Service managers, one module each. `backends.kinds` says how a kind is added."""
