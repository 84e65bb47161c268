"""The configuration file: finding, reading, decoding and checking it."""
