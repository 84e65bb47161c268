"""The live table of servers or nodes: its rows, which come from the live view, and its drawing."""
