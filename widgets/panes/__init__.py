"""The panes below the table of servers: traffic and events."""
