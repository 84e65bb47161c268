"""The servers and the load of `rolldeck demo`: real HAProxies and nodes on loopback."""
