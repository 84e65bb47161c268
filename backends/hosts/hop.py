"""One host on the way to a node, in the form in which ProxyJump writes it."""

from dataclasses import dataclass

from backends.inert import check_inert, check_port


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
        number = port.isascii() and port.isdigit() and len(port) <= 5
        if not colon or not number or (":" in host and not host.endswith("]")):
            host, port = rest, "0"
        return cls(host.strip("[]"), user, int(port))

    def check(self) -> None:
        """Raise NotInert if something else than a host, a user and a port could be read in it."""
        check_inert(self.host)
        if self.user:
            check_inert(self.user)
        if self.port:
            check_port(self.port)
