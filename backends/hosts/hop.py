"""One host on the way to a node, in the form in which ProxyJump writes it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Hop:
    """A host as somebody wrote it; what is empty comes from the ssh configuration."""

    host: str
    user: str = ""
    port: int = 0

    @classmethod
    def parse(cls, text: str) -> "Hop":
        """Read `[ssh://][user@]host[:port]`; an IPv6 address with a port stands in brackets."""
        user, _, rest = text.strip().removeprefix("ssh://").rpartition("@")
        host, colon, port = rest.rpartition(":")
        if not colon or not port.isdigit() or (":" in host and not host.endswith("]")):
            host, port = rest, "0"
        return cls(host.strip("[]"), user, int(port))
