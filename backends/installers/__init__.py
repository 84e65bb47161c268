"""Ways to install a version on a node, one module each. `backends.kinds` says how a kind is added."""
