"""Ways to bring a version onto a node's disk."""
