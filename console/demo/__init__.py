"""`rolldeck demo`: real HAProxies, nodes and load on loopback, to try everything on."""
