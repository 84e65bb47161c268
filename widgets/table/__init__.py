"""The live table of servers or nodes: from the live view to rows, and its drawing."""
