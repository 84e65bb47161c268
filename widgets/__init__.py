"""What is seen: Textual widgets. Data in, messages out."""
