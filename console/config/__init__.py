"""The configuration file: found, read, decoded and checked."""
