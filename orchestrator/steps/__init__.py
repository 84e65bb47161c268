"""The five steps. Each ensures: looks first, does what is missing, looks again."""
