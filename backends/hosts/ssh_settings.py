"""The settings for SSH to nodes, and one host on a route."""

from dataclasses import dataclass
from typing import Annotated

import msgspec

from backends.hosts.command_host import MAX_OUTPUT_BYTES
from backends.untrusted import NotInert, check_inert, check_port

Seconds = Annotated[float, msgspec.Meta(gt=0)]


AtLeastOne = Annotated[int, msgspec.Meta(ge=1)]


class SshSettings(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """How nodes are reached. What is empty comes from the ssh configuration. Times in seconds."""

    config: str = "~/.ssh/config"
    user: str = ""
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 0
    identity: str = ""  # a private key file; an encrypted one must be in the agent
    known_hosts: str = ""  # instead of those of the ssh configuration and the system
    connect_timeout: Seconds = 10.0
    login_timeout: Seconds = 10.0
    keepalive_interval: Seconds = 2.0
    keepalive_count: AtLeastOne = 2  # unanswered ones until the connection counts as lost
    max_output: AtLeastOne = MAX_OUTPUT_BYTES  # bytes kept of each output stream of a command
    concurrency: AtLeastOne = 8  # commands at once on one connection; sshd's MaxSessions is 10
    max_concurrent_logins: AtLeastOne = 20  # the limit of the semaphore that hosts share

    def __post_init__(self) -> None:
        """Raise ValueError, which msgspec reports with the path of the key."""
        if self.user:
            try:
                check_inert(self.user)
            except NotInert as error:
                raise ValueError(f"user: {error}") from None


@dataclass(frozen=True, slots=True)
class Hop:
    """A host as somebody wrote it; what is empty comes from the ssh configuration."""

    host: str
    user: str = ""
    port: int = 0

    @classmethod
    def parse(cls, text: str) -> "Hop":
        """Read `[ssh://][user@]host[:port]`; an IPv6 address with a port is in brackets."""
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
