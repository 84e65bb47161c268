"""The settings of one HAProxy, and the address of its socket."""

from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

import msgspec

from backends.untrusted import NotInert, check_authority, check_inert, url_host, url_port

FORMS = (
    '"unix:///run/haproxy/admin.sock", "tcp://10.0.0.1:9999" or "ssh://user@host:22/run/haproxy/admin.sock"'
)
SCHEMES = ("unix", "tcp", "ssh")
MAX_ADDRESS_CHARS = 1024  # a path of a socket has at most 107
MAX_CONNECTIONS = 10  # HAProxy's default of `stats maxconn`


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """A socket file on this machine."""

    path: str


@dataclass(frozen=True, slots=True)
class TcpAddress:
    """A stats socket on TCP; it has no authentication of its own."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class SshAddress:
    """A socket file on another machine, opened through SSH."""

    user: str  # empty: as the SSH configuration says
    host: str
    port: int  # 0: as the SSH configuration says
    path: str


Address = UnixAddress | TcpAddress | SshAddress


def parse_address(text: str) -> Address:
    """Parse one of the three forms. Pure.

    Raises:
        ValueError: the text says what was found and what was expected.
    """
    quoted = f"{text[:MAX_ADDRESS_CHARS]!r}"
    if len(text) > MAX_ADDRESS_CHARS or not text.isprintable():  # `urlsplit` would pass over line breaks
        raise ValueError(f"{quoted}: expected {FORMS}, at most {MAX_ADDRESS_CHARS} printable characters")
    url = _split(text)
    if url.query or url.fragment or url.password is not None:
        raise ValueError(f"{quoted}: expected {FORMS}, with nothing more in it")
    try:
        port = url_port(url)
    except NotInert as error:
        raise ValueError(f"{quoted}: {error}") from None
    match url.scheme:
        case "unix" if not url.netloc and url.path.startswith("/"):
            return UnixAddress(url.path)
        case "tcp" if url.hostname and port and url.path in ("", "/") and not url.username:
            return TcpAddress(check_inert(url_host(url)), port)
        case "ssh" if url.hostname and len(url.path) > 1:
            user = check_inert(url.username) if url.username else ""
            return SshAddress(user, check_inert(url_host(url)), port or 0, url.path)
    raise ValueError(f"{quoted}: expected {FORMS}")


def _split(text: str) -> SplitResult:
    try:
        return urlsplit(text)
    except ValueError:  # brackets that do not match, or with something else in them
        raise ValueError(f"{text!r}: expected {FORMS}; only an IPv6 address needs brackets") from None


class HaproxySettings(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """One HAProxy instance: either a socket or, to read only, its statistics page.

    Attributes:
        socket: the Runtime API, in one of the forms of `FORMS`.
        master: the socket is a master CLI (``haproxy -S``); commands go to the current worker.
        stats_url: address of the HTTP statistics page, such as ``http://10.0.0.1:8404/stats``.
        username: for the statistics page.
        password_env: name of the environment variable with its password.
        password_file: file with its password, readable by its owner only.
        password_command: command that prints its password.
        config_file: HAProxy's configuration file, when HAProxy does not name it; on the machine
            of the socket for ``unix`` and ``ssh``, on this one for ``tcp``.
        timeout: seconds to connect, and again to send and to answer.
        concurrency: connections at once.
    """

    socket: str = ""
    master: bool = False
    stats_url: str = ""
    username: str = ""
    password_env: str = ""
    password_file: str = ""
    password_command: str = ""
    config_file: str = ""
    timeout: float = 5.0
    concurrency: int = 4

    def __post_init__(self) -> None:
        """Raise ValueError, which msgspec reports with the path of the key."""
        if not 0 < self.timeout <= 600:
            raise ValueError(f"timeout: found {self.timeout:g}, expected more than 0, at most 600 seconds")
        if not 1 <= self.concurrency <= MAX_CONNECTIONS:
            raise ValueError(f"concurrency: found {self.concurrency}, expected 1 to {MAX_CONNECTIONS}")
        if bool(self.socket) == bool(self.stats_url):
            raise ValueError("expected exactly one of `socket` and `stats_url`")
        if self.stats_url and self.master:
            raise ValueError("master: found it beside stats_url, expected a `socket`")
        if self.socket:
            try:
                parse_address(self.socket)
            except ValueError as error:
                raise ValueError(f"socket: found {error}") from None
        else:
            _check_stats_url(self.stats_url)

    def address(self) -> Address:
        """The parsed `socket`; ValueError when there is none."""
        return parse_address(self.socket)


def _check_stats_url(text: str) -> None:
    url = urlsplit(text)
    if "@" in url.netloc:
        # Every error text would contain it; it is not repeated here either.
        raise ValueError("stats_url: no user or password may be in it; use username and password_env")
    if url.scheme not in ("http", "https"):
        raise ValueError(f"stats_url: found {text!r}, expected http:// or https://")
    try:
        check_authority(url)
    except ValueError as error:
        raise ValueError(f"stats_url: found {text!r}: {error}") from None
