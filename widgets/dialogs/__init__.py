"""Dialogs: values in, one answer out."""
