"""The inventory: which nodes an application has, and from which source."""
