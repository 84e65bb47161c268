"""The output of commands on the terminal, and the questions that they ask there."""
