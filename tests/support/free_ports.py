"""Free ports for the servers of the tests, each reserved for this process until it ends.

A port that was only looked up, by binding to port 0 and closing, can be anybody's by the time its server
binds it: an outgoing connection's, or that of a server in another worker.
"""

import atexit

from console.demo.stack import ReservedPorts

_ports = ReservedPorts()
atexit.register(_ports.release)


def free_port() -> int:
    """A TCP port on loopback that is closed, for a server that sets SO_REUSEADDR. Never the same twice."""
    return _ports.reserve()
