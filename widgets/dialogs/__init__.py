"""Dialogs, which are given values and return one answer."""
