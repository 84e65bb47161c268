"""Foreign text of every kind, made up by hypothesis: nothing but our own errors, in time that grows with it.

A short run with fixed seeds is part of `make test`; `make fuzz` looks for longer, with new ones.
"""
