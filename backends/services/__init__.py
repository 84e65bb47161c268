"""Service managers: one file each, all with the same three questions. See `backends.protocols`."""
