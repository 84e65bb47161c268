"""How Consul is reached: the `[consul]` table."""

import os
import ssl
from urllib.parse import urlsplit

import msgspec

from backends.errors import ConfigError
from backends.secret import Secret, load_secret

TOKEN_ENV = "CONSUL_HTTP_TOKEN"  # noqa: S105 - the name of a variable, and Consul's own


class ConsulSettings(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """One agent. The token stands where `token_env`, `token_file` or `token_command` says.

    Attributes:
        address: of the agent's HTTP API.
        prefix: of all keys that Rolldeck writes there.
        datacenter: empty for the agent's own.
        namespace: of Consul Enterprise; sent only when it is given.
        ca_file: trusted instead of the system's.
        client_cert, client_key: files in PEM, for an agent that wants to know who asks.
        timeout: seconds for one answer; a blocking query may last as much longer as it waits.
    """

    address: str = "http://127.0.0.1:8500"
    prefix: str = "rolldeck"
    datacenter: str = ""
    namespace: str = ""
    token_env: str = ""
    token_file: str = ""
    token_command: str = ""
    ca_file: str = ""
    client_cert: str = ""
    client_key: str = ""
    verify_tls: bool = True
    timeout: float = 5.0

    def __post_init__(self) -> None:
        parts = urlsplit(self.address)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/"):
            raise ValueError(
                f"address: found {self.address!r}, expected http://HOST:PORT or https://HOST:PORT"
            )
        if parts.username or parts.password:
            raise ValueError(
                "address: a user or password in it would be shown; expected the token in token_env"
            )
        if bool(self.client_cert) != bool(self.client_key):
            raise ValueError("client_cert and client_key: found one of them, expected both or none")
        if not self.prefix or self.prefix.startswith("/"):
            raise ValueError(
                f"prefix: found {self.prefix!r}, expected a text that does not begin with a slash"
            )
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
        """The token; None for an agent without ACLs.

        Raises:
            ConfigError: more than one place is given, or there is nothing there.
        """
        env = self.token_env
        if not (env or self.token_file or self.token_command) and os.environ.get(TOKEN_ENV):
            env = TOKEN_ENV
        return await load_secret(env, self.token_file, self.token_command, "consul.token")

    def tls(self) -> ssl.SSLContext | bool:
        """What httpx calls `verify`. Raises ConfigError: a file that cannot be read."""
        if self.scheme == "http":
            return False
        try:
            context = ssl.create_default_context(cafile=self.ca_file or None)
            if self.client_cert:
                context.load_cert_chain(self.client_cert, self.client_key)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                "", "consul", f"ca_file, client_cert or client_key cannot be used: {error}"
            ) from error
        if not self.verify_tls:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context
