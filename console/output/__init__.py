"""How things are written to a terminal, a pipe or a log."""
