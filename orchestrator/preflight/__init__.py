"""Everything that can be known before anything is touched."""
