"""The commands of `rolldeck`, one module each."""
