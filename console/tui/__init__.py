"""The Textual console, a front end for a session."""
