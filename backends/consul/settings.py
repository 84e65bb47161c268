"""How Consul is reached: the `[consul]` table."""

import os
import ssl
from typing import Literal
from urllib.parse import urlsplit

import msgspec

from backends.consul.signing import Signer, check_key
from backends.errors import ConfigError
from backends.secrets import Secret, load_secret
from backends.templates import NodeKey, fill_plain
from backends.untrusted import NotInert, check_authority

NAME = "consul"  # in errors
TOKEN_ENV = "CONSUL_HTTP_TOKEN"  # noqa: S105 - the name of a variable, and Consul's own


class ConsulSettings(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """How one agent is reached. `token_env`, `token_file` or `token_command` says where the token is.

    `signing_key_env` and its like say where the key is that signs what Rolldeck writes there.

    Attributes:
        address: the address of the agent's HTTP API.
        prefix: the prefix of all keys that Rolldeck writes there.
        datacenter: empty for the agent's own.
        namespace: a namespace of Consul Enterprise; sent only when it is given.
        ca_file: trusted instead of the system's.
        client_cert, client_key: files in PEM, for an agent that verifies its clients.
        timeout: seconds for one answer; a blocking query may last as much longer as it waits.
        on_unavailable: what a rollout does while Consul does not answer: HAProxy and the nodes are what
            counts, so it goes on as long as its lock allows, or it pauses.
        version_key: key into which the version of each node is written that is done, such as
            "versions/{app}/{node}"; empty: none.
    """

    address: str = "http://127.0.0.1:8500"
    prefix: str = "rolldeck"
    datacenter: str = ""
    namespace: str = ""
    token_env: str = ""
    token_file: str = ""
    token_command: str = ""
    signing_key_env: str = ""
    signing_key_file: str = ""
    signing_key_command: str = ""
    ca_file: str = ""
    client_cert: str = ""
    client_key: str = ""
    verify_tls: bool = True
    timeout: float = 5.0
    on_unavailable: Literal["continue", "pause"] = "continue"
    version_key: NodeKey = ""

    def __post_init__(self) -> None:
        problem = f"address: found {self.address!r}, expected http://HOST:PORT or https://HOST:PORT"
        try:
            parts = urlsplit(self.address)
        except ValueError:  # brackets that do not match
            raise ValueError(problem) from None
        if parts.username or parts.password:
            raise ValueError(
                "address: a user or password in it would be shown; expected the token in token_env"
            )
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/"):
            raise ValueError(problem)
        try:
            check_authority(parts)
        except NotInert as error:
            raise ValueError(f"{problem}: {error}") from None
        if bool(self.client_cert) != bool(self.client_key):
            raise ValueError("client_cert and client_key: found one of them, expected both or none")
        if not self.prefix or self.prefix.startswith("/"):
            raise ValueError(
                f"prefix: found {self.prefix!r}, expected a text that does not begin with a slash"
            )
        if self.version_key:
            _check_version_key(self.version_key)
        if not 0 < self.timeout <= 60:
            raise ValueError(f"timeout: found {self.timeout:g}, expected more than 0 and at most 60 seconds")

    @property
    def host(self) -> str:
        return urlsplit(self.address).hostname or ""

    @property
    def port(self) -> int:
        parts = urlsplit(self.address)
        return parts.port or (443 if parts.scheme == "https" else 8500)

    @property
    def scheme(self) -> str:
        return urlsplit(self.address).scheme

    async def token(self) -> Secret | None:
        """Read the token; return None for an agent without ACLs.

        Raises:
            ConfigError: more than one place is given, or there is nothing there.
        """
        env = self.token_env
        if not (env or self.token_file or self.token_command) and os.environ.get(TOKEN_ENV):
            env = TOKEN_ENV
        return await load_secret(env, self.token_file, self.token_command, "consul.token")

    async def signer(self, application: str) -> Signer | None:
        """Return the signer of what is written of an application; None where nothing is signed.

        Raises:
            ConfigError: more than one place for the key is given, there is nothing there, or it is too short.
        """
        sources = (self.signing_key_env, self.signing_key_file, self.signing_key_command)
        key = await load_secret(*sources, "consul.signing_key")
        if key is None:
            return None
        return Signer(check_key(key, "consul.signing_key"), f"{self.prefix}/{application}")

    def tls(self) -> ssl.SSLContext | bool:
        """Return what httpx calls `verify`. Raises ConfigError for a file that cannot be used."""
        if self.scheme == "http":
            return False
        key, file = "ca_file", self.ca_file
        try:
            context = ssl.create_default_context(cafile=file or None)
            if self.client_cert:
                key, file = "client_cert", self.client_cert
                # This fails unless the file is a certificate at all.
                ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(file)
                key, file = "client_key", self.client_key
                context.load_cert_chain(self.client_cert, file, _refuse_password)
        except OSError as error:  # an SSLError is one
            raise ConfigError("", f"consul.{key}", f"{file} {_describe_file_problem(key, error)}") from None
        if not self.verify_tls:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


def _refuse_password() -> str:
    """Refuse to ask for a password: OpenSSL would do so on the terminal, in the middle of the console."""
    raise OSError(None, "is encrypted, and its password cannot be asked for")


def _describe_file_problem(key: str, error: OSError) -> str:
    """Return why a file cannot be used; OpenSSL's own words are "PEM lib"."""
    if not isinstance(error, ssl.SSLError):
        return f"cannot be used: {error.strerror or error}"
    if error.reason == "KEY_VALUES_MISMATCH":
        return "is not the key of client_cert"
    return "is no private key in PEM" if key == "client_key" else "has no certificate in PEM"


def _check_version_key(key: str) -> None:
    problem = f"version_key: found {key!r}, expected a key with {{node}} in it, and nothing else but {{app}}"
    try:
        filled = fill_plain(key, {"app": "a", "node": "n"})
    except ConfigError:
        raise ValueError(problem) from None
    if "{node}" not in key or filled.startswith("/"):
        raise ValueError(f"{problem}, that does not begin with a slash")
