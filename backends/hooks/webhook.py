"""A hook that is a URL: it receives a POST, and objects by any status but 2xx."""

import asyncio
import time
from collections.abc import Collection
from dataclasses import dataclass, field

from backends.debug_log import log_exchange
from backends.errors import Refused, UnknownOutcome, Unreachable
from backends.hooks.common import Moment
from backends.http_common import (
    UNENCODED,
    USER_AGENT,
    authorities,
    authorization_header,
    format_http_error,
    no_cookies,
)
from backends.secrets import load_secret


@dataclass(frozen=True, slots=True)
class WebHook:
    """Implements `backends.hooks.common.Hook`.

    The body of the response is not read: it may contain anything, even the token of the request. A redirect
    is not followed, since the token would go to a server that nobody has configured.

    Attributes:
        name: for people, without the URL, as many chat services have a secret in theirs.
        on: the moments at which the hook is called.
        stops: whether the rollout stops when the hook fails.
        url: the URL of the POST.
        timeout: seconds for the whole exchange.
        what: its path in the configuration, for errors.
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
        """See `backends.hooks.common.Hook.fire`: Unreachable, UnknownOutcome (no answer in time), Refused."""
        import httpx

        headers = {"User-Agent": USER_AGENT, "Content-Type": "application/json", **UNENCODED}
        token = await load_secret(self.token_env, self.token_file, self.token_command, f"{self.what}.token")
        if token is not None:
            headers["Authorization"] = authorization_header(token, f"{self.what}.token")
        tls = await asyncio.to_thread(authorities)
        started, status = time.monotonic(), 0
        try:
            async with (
                asyncio.timeout(self.timeout),
                # Unlike a node, the server may well be behind the proxy that the environment names.
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
        except Exception as error:  # httpx does not wrap all errors
            raise Unreachable(self.name, format_http_error(error)) from None
        finally:
            body = payload.decode(errors="replace")
            log_exchange(
                self.name, f"POST {body}", str(status), 200 <= status < 300, time.monotonic() - started
            )
        if not 200 <= status < 300:
            redirect = ", and redirects are not followed" if 300 <= status < 400 else ""
            raise Refused(self.name, f"HTTP {status}, expected 2xx{redirect}")
