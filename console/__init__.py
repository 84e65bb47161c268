"""What starts: the command line, the configuration, the session, the demo."""
