"""HAProxy: its Runtime API, its statistics page and what its configuration file says."""
