"""Inventories in files, which list the nodes outside the configuration."""
