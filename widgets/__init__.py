"""Textual widgets, which display data and post messages."""
