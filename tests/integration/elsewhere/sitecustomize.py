"""Python loads this at its start where `PYTHONPATH` leads here: this is another machine, by its name."""

import socket

socket.gethostname = lambda: "elsewhere"
