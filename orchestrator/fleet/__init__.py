"""All applications of a configuration at a glance."""
