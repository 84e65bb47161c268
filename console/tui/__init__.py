"""The Textual console over a session."""
