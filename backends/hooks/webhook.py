"""A hook that is a URL: told by a POST, and any status but 2xx is an objection."""

import asyncio
import time
from collections.abc import Collection
from dataclasses import dataclass, field

from backends.debug_log import log_exchange
from backends.errors import Refused, UnknownOutcome, Unreachable
from backends.http_common import (
    UNENCODED,
    USER_AGENT,
    authorities,
    authorization_header,
    format_http_error,
    no_cookies,
)
from backends.protocols import Moment
from backends.secrets import load_secret


@dataclass(frozen=True, slots=True)
class WebHook:
    """Implements `backends.protocols.Hook`.

    What the other side says is not even read: it may be anything, the token that it was sent too. A
    redirect is not followed, since the token would go where nobody has configured it to go.

    Attributes:
        name: for people; the URL is not in it, as many chat services have a secret in theirs.
        on: when it is told.
        stops: the rollout stops when it fails.
        url: where to.
        timeout: seconds for all of it.
        what: its place in the configuration, for errors.
        token_env, token_file, token_command: where the bearer token is; at most one.
    """

    name: str
    on: Collection[Moment]
    stops: bool
    url: str = field(repr=False)
    timeout: float
    what: str
    token_env: str = ""
    token_file: str = ""
    token_command: str = ""

    async def fire(self, payload: bytes) -> None:
        """See `backends.protocols.Hook.fire`: Unreachable, UnknownOutcome (no answer in time), Refused."""
        import httpx

        headers = {"User-Agent": USER_AGENT, "Content-Type": "application/json", **UNENCODED}
        token = await load_secret(self.token_env, self.token_file, self.token_command, f"{self.what}.token")
        if token is not None:
            headers["Authorization"] = authorization_header(token, f"{self.what}.token")
        tls = await asyncio.to_thread(authorities)
        begun, status = time.monotonic(), 0
        try:
            async with (
                asyncio.timeout(self.timeout),
                # Unlike a node, it may well be behind the proxy that the environment names.
                httpx.AsyncClient(
                    headers=headers,
                    cookies=no_cookies(),
                    follow_redirects=False,
                    timeout=self.timeout,
                    verify=tls,
                ) as client,
                client.stream("POST", self.url, content=payload) as reply,
            ):
                status = reply.status_code
        except (TimeoutError, httpx.TimeoutException):
            raise UnknownOutcome(self.name, f"timed out after {self.timeout:g} s") from None
        except Exception as error:  # not all is wrapped
            raise Unreachable(self.name, format_http_error(error)) from None
        finally:
            told = payload.decode(errors="replace")
            log_exchange(
                self.name, f"POST {told}", str(status), 200 <= status < 300, time.monotonic() - begun
            )
        if not 200 <= status < 300:
            redirect = ", and redirects are not followed" if 300 <= status < 400 else ""
            raise Refused(self.name, f"HTTP {status}, expected 2xx{redirect}")
