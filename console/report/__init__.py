"""The HTML report: one entry of the journal as a single file that needs nothing else."""
