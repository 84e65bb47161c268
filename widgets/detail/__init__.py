"""One node in detail."""
