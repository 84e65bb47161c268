"""The full name of a host as CanonicalizeHostname of the ssh configuration makes it.

asyncssh would do the same when it connects, which is after the checks of `route`, and would take over a name
that a name server gave (CanonicalizePermittedCNAMEs). Here it is done before, and only names that the
configuration completes are used.

Imports asyncssh, so it is itself imported late.
"""

import socket

from backends.hosts.ssh_library import asyncssh
from backends.inert import is_address


def canonical_name(host: str, options: asyncssh.SSHClientConnectionOptions) -> tuple[str, bool]:
    """The name to go on with, and whether it is a canonical one. Blocking.

    Raises:
        OSError: it has none, and CanonicalizeFallbackLocal is "no".
    """
    if not options.canonicalize_hostname or not options.canonical_domains:
        return host, False
    if host.count(".") > options.canonicalize_max_dots or is_address(host):
        return host, False
    for domain in options.canonical_domains:
        try:
            socket.getaddrinfo(f"{host}.{domain}", None)
        except (OSError, UnicodeError):
            continue
        return f"{host}.{domain}", True
    if not options.canonicalize_fallback_local:
        raise OSError(f"{host} is in none of CanonicalDomains, and CanonicalizeFallbackLocal is no")
    return host, False
