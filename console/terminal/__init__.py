"""What commands print to the terminal, and what they ask there."""
