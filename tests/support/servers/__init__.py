"""Real servers that a test starts on free ports and stops by their process ids."""
