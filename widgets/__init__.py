"""Textual widgets: they take data and post messages."""
