"""The inventory: the nodes of an application, and their source."""
