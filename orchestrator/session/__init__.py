"""The session: one application with all that work on it needs; front ends drive and show it."""
