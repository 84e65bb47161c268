"""Inventories in files: which nodes there are, for those who keep that beside the configuration."""
