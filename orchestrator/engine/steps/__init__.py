"""The steps of a node, its service discovery, and its quarantine after a failure."""
