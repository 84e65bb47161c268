"""What the console shows, one screen each; widgets do the showing, the session does the work."""
