"""Nodes that somebody else knows."""
