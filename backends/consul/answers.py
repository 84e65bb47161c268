"""Consul's answers: values, which are checked, and failures, as texts that say where to look.

The failures are those of httpx, TLS and py-consul. The token is in none of the texts.
"""

import ssl
from typing import Any, Literal

import msgspec

from backends.consul.settings import NAME, TOKEN_ENV, ConsulSettings
from backends.errors import BackendError, PermissionDenied, Refused, Unreachable, UnreadableReply


class Machine(msgspec.Struct, frozen=True, gc=False, rename="pascal"):
    """What Consul calls a node."""

    node: str
    address: str
    meta: dict[str, str] | None = None


class Service(msgspec.Struct, frozen=True, gc=False, rename="pascal"):
    """An instance, as its agent has it; without an address it is that of its machine."""

    address: str
    port: int
    identity: str = msgspec.field(name="ID")
    meta: dict[str, str] | None = None


class Check(msgspec.Struct, frozen=True, gc=False, rename="pascal"):
    """A health check of an instance or of its node, as the catalog has it."""

    status: Literal["passing", "warning", "critical"]
    identity: str = msgspec.field(name="CheckID")
    name: str = ""
    notes: str = ""


class Entry(msgspec.Struct, frozen=True, gc=False, rename="pascal"):
    """One instance of a service with its checks, those of its machine among them."""

    node: Machine
    service: Service
    checks: list[Check]


class KeyValue(msgspec.Struct, frozen=True, rename="pascal"):
    """One key, as `/v1/kv` has it."""

    key: str
    modify_index: int
    lock_index: int
    value: bytes | None = None
    session: str = ""


_DECODER = msgspec.json.Decoder(list[Entry])


def decode_entries(body: bytes, what: str) -> list[Entry]:
    """Decode the entries of a whole answer.

    Args:
        body: JSON.
        what: the request, for the error.

    Raises:
        UnreadableReply: the body is not JSON, or an entry has other fields.
    """
    try:
        return _DECODER.decode(body)
    except msgspec.MsgspecError as error:
        raise UnreadableReply(NAME, f"{what}: the answer is not understood: {error}") from None
    except UnicodeDecodeError as error:
        raise UnreadableReply(NAME, f"{what}: the answer is not UTF-8 text: {error.reason}") from None


def convert_answer(answer: Any, kind: Any, what: str) -> Any:
    """Convert what py-consul has decoded to this type. Raises UnreadableReply, as `decode_entries` does."""
    try:
        return msgspec.convert(answer, kind)
    except msgspec.ValidationError as error:
        raise UnreadableReply(NAME, f"{what}: the answer is not understood: {error}") from None


MAX_ANSWER_CHARS = 200  # of an answer in an error: what is not Consul may answer with a whole page


def describe_error(what: str, error: Exception, settings: ConsulSettings, *, token: bool) -> BackendError:
    """Return the error to raise instead, in words that say where to look.

    Args:
        what: the request, in words.
        error: an httpx.HTTPError, ssl.SSLError or consul.ConsulException.
        settings: those of the agent.
        token: whether a token was sent.
    """
    import consul

    from backends.consul.transport import ServerError

    message = f"{str(error).strip():.{MAX_ANSWER_CHARS}}" or type(error).__name__
    if isinstance(error, consul.ACLPermissionDenied):
        return PermissionDenied(
            NAME, f"{what}: permission denied; {_describe_denial(message, token)} ({message})"
        )
    if not isinstance(error, consul.ConsulException):
        return Unreachable(NAME, f"{what}: {_describe_failure(error, message, settings)}")
    if isinstance(error, consul.ACLDisabled):
        return Refused(NAME, f"{what}: a token was given, and the agent has no ACLs ({message})")
    if "Namespaces are a Consul Enterprise feature" in message:
        return Refused(NAME, f"{what}: this Consul has no namespaces; leave `namespace` out ({message})")
    if isinstance(error, ServerError):
        has_leader = "No cluster leader" not in message
        return Unreachable(
            NAME, f"{what}: {message if has_leader else 'the servers have no leader at the moment'}"
        )
    return Refused(NAME, f"{what}: {message}")


def _describe_denial(message: str, token: bool) -> str:
    if not token:
        return "no token is given: see token_env, token_file and token_command"
    if "ACL not found" in message:
        where = f"token_env, token_file, token_command or {TOKEN_ENV}"
        return f"Consul does not know the token, which {where} gives"
    return "the token lacks a policy for it"


def _describe_failure(error: Exception, message: str, settings: ConsulSettings) -> str:
    import httpx

    where = settings.address
    if isinstance(error, httpx.TimeoutException):
        return f"no answer from {where} within {settings.timeout:g} s"
    if "CERTIFICATE_VERIFY_FAILED" in message:
        hint = "the host in `address`" if "match" in message else "ca_file"
        return f"{where} is not trusted: {message}; see {hint}"
    if "WRONG_VERSION_NUMBER" in message:
        return f"{where} cannot be reached: {message}; does it speak http?"
    if isinstance(error, httpx.ConnectError):
        return f"{where} cannot be reached: {message}"
    if settings.scheme == "https" and isinstance(
        error, ssl.SSLError | httpx.NetworkError | httpx.ProtocolError
    ):
        # An agent that refuses the client says so after its own handshake, or only closes the connection.
        hint = "does it trust client_cert?" if settings.client_cert else "does it want a client_cert?"
        return f"{where} has ended the connection: {message}; {hint}"
    return f"{where}: {message}"
