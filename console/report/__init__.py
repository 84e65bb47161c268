"""One entry of the journal as a single HTML file that needs nothing else."""
