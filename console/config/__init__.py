"""The configuration file: it is found, read, decoded and checked here."""
