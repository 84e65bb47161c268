"""What the tool costs, measured on real parts: `make bench`, or `python -m tests.bench --help`."""
