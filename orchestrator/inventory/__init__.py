"""Which nodes an application has, and who says so."""
