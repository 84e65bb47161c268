"""HTTP clients for health checks: httpx on this machine, or curl on the node."""

import asyncio
import base64
import re
import ssl
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from backends.command import Command, CommandResult, log_exchange
from backends.errors import BackendError, ConfigError, Unreachable, UnreadableReply
from backends.health.checks import NODE_MARGIN_S
from backends.health.http import HttpHealth, Page
from backends.hosts.execution import format_output, query
from backends.http_common import (
    UNENCODED,
    USER_AGENT,
    authorization_header,
    format_http_error,
    load_authorities,
    make_empty_cookies,
    read_body,
)
from backends.protocols import Host
from backends.secrets import Secret, load_secret

if TYPE_CHECKING:
    import httpx

MAX_BODY_BYTES = 1024 * 1024
"""Bytes of a page; a longer one is no health page."""

MAX_REDIRECTS = 5

_TOO_LONG = f"the reply is longer than {MAX_BODY_BYTES:,} bytes"
_CURL_TIMED_OUT = 28
_CURL_TOO_LONG = 63
_MAX_CONNECTIONS = 100


class WebClient:
    """Gets the pages of one application's nodes.

    Each check opens a new connection: an old one would prove that the old process is still there, not
    that the new one can be reached. The environment's proxies do not count: HAProxy has none either.
    """

    def __init__(self, settings: HttpHealth, what: str) -> None:
        """Prepare requests; no connection is opened yet.

        Args:
            settings: those of the application.
            what: their place in the configuration, such as ``apps.shop.health``.
        """
        self._settings = settings
        self._what = what
        self._opening = asyncio.Lock()
        self._client: httpx.AsyncClient | None = None

    async def fetch(self, url: str) -> Page:
        """Get one page.

        Raises:
            Unreachable: no whole reply, in words.
            UnreadableReply: a reply that is too long.
            ConfigError: the password or the certificates cannot be read.
        """
        import httpx

        client = await self._opened()
        started = time.monotonic()
        reply = "(no whole reply)"
        try:
            async with asyncio.timeout(self._settings.timeout):
                page = await self._get(client, url)
            reply = f"{page.status}\n{page.body}"
            return page
        except (TimeoutError, httpx.TimeoutException):
            problem = f"timed out after {self._settings.timeout:g} s"
            raise Unreachable(url, problem) from None
        except BackendError:
            raise
        except Exception as error:  # not all is wrapped, such as a redirect to port 99999
            raise Unreachable(url, format_http_error(error)) from error
        finally:
            request = "\n".join(
                (f"GET {url}", *(f"{name}: {value}" for name, value in client.headers.items()))
            )
            log_exchange(url, request, reply, reply[:1].isdigit(), time.monotonic() - started)

    async def _get(self, client: "httpx.AsyncClient", url: str) -> Page:
        """Get a page, and follow redirects here: httpx would read all of their bodies, even endless ones."""
        request = client.build_request("GET", url)
        for _ in range(1 + MAX_REDIRECTS):
            reply = await client.send(request, stream=True)
            try:
                if reply.next_request is None or not self._settings.follow_redirects:
                    body = await read_body(url, reply, MAX_BODY_BYTES)
                    return Page(reply.status_code, body.decode("utf-8", "replace"))
                request = reply.next_request
            finally:
                await reply.aclose()
        raise Unreachable(url, f"more than {MAX_REDIRECTS} redirects")

    async def close(self) -> None:
        """Close what was opened, if anything was."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def _opened(self) -> "httpx.AsyncClient":
        async with self._opening:
            if self._client is None:
                self._client = await self._open()
            return self._client

    async def _open(self) -> "httpx.AsyncClient":
        import httpx

        settings = self._settings
        secret = await load_secret(
            settings.password_env,
            settings.password_file,
            settings.password_command,
            f"{self._what}.password",
        )
        headers = {"User-Agent": USER_AGENT, **UNENCODED, **settings.headers}
        if secret is not None:
            headers["Authorization"] = self._build_authorization(secret)
        return httpx.AsyncClient(
            verify=await asyncio.to_thread(self._verify),
            headers=headers,
            trust_env=False,
            cookies=make_empty_cookies(),
            timeout=settings.timeout,  # of each part; `fetch` bounds the whole
            limits=httpx.Limits(max_connections=_MAX_CONNECTIONS, max_keepalive_connections=0),
        )

    def _build_authorization(self, secret: Secret) -> str:
        if self._settings.username:
            pair = f"{self._settings.username}:{secret.reveal()}".encode()
            return f"Basic {base64.b64encode(pair).decode()}"
        return authorization_header(secret, f"{self._what}.password")

    def _verify(self) -> ssl.SSLContext | bool:
        if not self._settings.verify_tls:
            return False
        try:
            return load_authorities(self._settings.ca_file)
        except OSError as error:  # an SSLError is one
            problem = f"cannot use {self._settings.ca_file}: {error.strerror or error}"
            raise ConfigError("", f"{self._what}.ca_file", problem) from error


@dataclass(frozen=True, slots=True)
class NodeFetch:
    """Gets pages as the node sees them."""

    host: Host
    settings: HttpHealth

    async def fetch(self, url: str) -> Page:
        """Get one page; raises Unreachable, UnreadableReply."""
        timeout = self.settings.timeout + NODE_MARGIN_S
        result = await query(self.host, curl(self.settings, url), timeout=timeout)
        return page_of(result, self.settings)


def curl(settings: HttpHealth, url: str) -> Command:
    """Return the call of curl: `-q` ignores .curlrc, `-g` takes brackets and braces of a URL literally."""
    headers = [f"{name}: {value}" for name, value in settings.headers.items()]
    redirects = ("--location", "--max-redirs", str(MAX_REDIRECTS))
    return Command(
        (
            *("curl", "-q", "-g", "-sS", "--noproxy", "*", "--proto", "=http,https"),
            *("--max-time", f"{settings.timeout:g}", "--max-filesize", str(MAX_BODY_BYTES)),
            *("--user-agent", USER_AGENT),
            *(part for header in headers for part in ("--header", header)),
            *(redirects if settings.follow_redirects else ()),
            *(() if settings.verify_tls else ("--insecure",)),
            *(("--cacert", settings.ca_file) if settings.ca_file else ()),
            *("--write-out", r"\n%{http_code}", "--url", url),
        )
    )


def page_of(result: CommandResult, settings: HttpHealth) -> Page:
    """Return the page that curl brought. Raises Unreachable or UnreadableReply when it brought none."""
    if result.exit_status == _CURL_TIMED_OUT:
        raise Unreachable(result.target, f"timed out after {settings.timeout:g} s")
    if result.exit_status == _CURL_TOO_LONG or result.truncated:
        raise UnreadableReply(result.target, _TOO_LONG)
    if not result.ok:
        raise Unreachable(result.target, re.sub(r"^curl: \(\d+\) ", "", format_output(result)))
    body, _, status = result.stdout.rpartition("\n")
    if not status.isdecimal():
        raise UnreadableReply(result.target, "curl did not say the status of the reply")
    return Page(int(status), body)
