"""The session: one application with everything that is needed to work on it, for any front end."""
