"""What may be a host, a user or a port: text that nothing takes for a command, an option or a variable.

The ssh configuration of the operator may put host and user into a ProxyCommand, which a shell reads, and
asyncssh replaces `${NAME}` in it by the environment's. Addresses come from whoever may write a key in Consul,
an inventory or HAProxy's configuration. So both are checked where they are read, and again where the way to a
host is found. OpenSSH has done the same since 9.6. Pure.
"""

import ipaddress
import re
from urllib.parse import SplitResult

MAX_HOST_CHARS = 255  # a name of DNS has 253

_INERT = re.compile(r"[A-Za-z0-9_.:][A-Za-z0-9_.:%-]*")


class NotInert(ValueError):
    """A host, user or port that cannot be used; the text says what was found and what was expected."""


def check_inert(text: str) -> str:
    """Return a host or user if no program reads anything else in it.

    Args:
        text: a name, an IPv4 address, or an IPv6 address without brackets, with or without a zone.

    Raises:
        NotInert: it is empty, too long, could be an option, or has other characters.
    """
    if len(text) <= MAX_HOST_CHARS and _INERT.fullmatch(text):
        return text
    raise NotInert(
        f"{text[:MAX_HOST_CHARS]!r} cannot be used: expected letters, digits and . _ : % -,"
        f" at most {MAX_HOST_CHARS}, and neither % nor - as the first"
    )


def is_address(text: str) -> bool:
    """Whether it is an IPv4 or IPv6 address, without brackets."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def check_port(port: int) -> int:
    """Return the port if it is one. Raises NotInert."""
    if 1 <= port <= 65535:
        return port
    raise NotInert(f"port {str(port)[:MAX_HOST_CHARS]} cannot be used: expected 1 to 65535")


def check_authority(url: SplitResult) -> None:
    """Check host and port of a URL that has a host. Raises NotInert."""
    check_inert(url_host(url))
    url_port(url)


def url_host(url: SplitResult) -> str:
    """The host as it was written: `hostname` lowers the case of an alias of ssh_config.

    Raises:
        NotInert: what stands in brackets is no IPv6 address.
    """
    host = url.netloc.rpartition("@")[2]
    if not host.startswith("["):
        return host.partition(":")[0]
    host = host[1:].partition("]")[0]
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        raise NotInert(f"{host!r}: expected an IPv6 address in brackets") from None
    return host


def url_port(url: SplitResult) -> int | None:
    """The port; None when there is none. Raises NotInert."""
    try:
        return None if url.port is None else check_port(url.port)
    except ValueError:
        raise NotInert("the port is not a number from 1 to 65535; an IPv6 address needs brackets") from None
