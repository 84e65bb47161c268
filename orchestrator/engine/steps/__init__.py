"""The steps of a node, in their order, and what surrounds them."""
