"""Random keys, pastes, resizes and mouse events for the console: `python -m tests.monkey --events 20000`."""
