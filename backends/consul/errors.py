"""Failures of httpx, TLS and py-consul in words that say where to look. The token is in none of them."""

import ssl

from backends.consul.settings import NAME, TOKEN_ENV, ConsulSettings
from backends.errors import BackendError, PermissionDenied, Refused, Unreachable

MAX_ANSWER_CHARS = 200  # of an answer in an error: what is not Consul may answer with a whole page


def describe_error(what: str, error: Exception, settings: ConsulSettings, *, token: bool) -> BackendError:
    """What to raise instead.

    Args:
        what: was asked.
        error: an httpx.HTTPError, ssl.SSLError or consul.ConsulException.
        settings: of the agent.
        token: one was sent.
    """
    import consul

    said = f"{str(error).strip():.{MAX_ANSWER_CHARS}}" or type(error).__name__
    if isinstance(error, consul.ACLPermissionDenied):
        return PermissionDenied(NAME, f"{what}: permission denied; {_denied(said, token)} ({said})")
    if not isinstance(error, consul.ConsulException):
        return Unreachable(NAME, f"{what}: {_unreachable(error, said, settings)}")
    if isinstance(error, consul.ACLDisabled):
        return Refused(NAME, f"{what}: a token was given, and the agent has no ACLs ({said})")
    if "Namespaces are a Consul Enterprise feature" in said:
        return Refused(NAME, f"{what}: this Consul has no namespaces; leave `namespace` out ({said})")
    if "No cluster leader" in said:
        return Unreachable(NAME, f"{what}: the servers have no leader at the moment")
    if said.startswith("5"):
        return Unreachable(NAME, f"{what}: {said}")
    return Refused(NAME, f"{what}: {said}")


def _denied(said: str, token: bool) -> str:
    if not token:
        return "no token is given: see token_env, token_file and token_command"
    if "ACL not found" in said:
        where = f"token_env, token_file, token_command or {TOKEN_ENV}"
        return f"Consul does not know the token, which {where} gives"
    return "the token lacks a policy for it"


def _unreachable(error: Exception, said: str, settings: ConsulSettings) -> str:
    import httpx

    where = settings.address
    if isinstance(error, httpx.TimeoutException):
        return f"no answer from {where} within {settings.timeout:g} s"
    if "CERTIFICATE_VERIFY_FAILED" in said:
        look = "the host in `address`" if "match" in said else "ca_file"
        return f"{where} is not trusted: {said}; see {look}"
    if "WRONG_VERSION_NUMBER" in said:
        return f"{where} cannot be reached: {said}; does it speak http?"
    if isinstance(error, httpx.ConnectError):
        return f"{where} cannot be reached: {said}"
    if settings.scheme == "https" and isinstance(
        error, ssl.SSLError | httpx.NetworkError | httpx.ProtocolError
    ):
        # An agent that refuses who asks says so after its own handshake, or only closes the connection.
        look = "does it trust client_cert?" if settings.client_cert else "does it want a client_cert?"
        return f"{where} has ended the connection: {said}; {look}"
    return f"{where}: {said}"
