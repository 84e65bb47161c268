"""py-consul's API over httpx, natively asynchronous.

This module is slow to import (py-consul imports `requests`), so it is imported late. py-consul's methods
build the request and pass it to `http`, whose result they return; here that is a coroutine.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import partialmethod
from typing import TYPE_CHECKING, Any

import consul.base
from consul.api.health import Health
from consul.callback import CB

from backends.consul.settings import NAME, ConsulSettings
from backends.http_common import UNENCODED, make_empty_cookies, read_body

if TYPE_CHECKING:
    import httpx  # brings click and rich with it where they are: when it is needed

MAX_JSON = 4 * 1024 * 1024  # bytes of an answer that json.loads reads; a value has at most 512 kB
MAX_INSTANCES = 32 * 1024 * 1024  # bytes of the instances of a service; some 20,000
BLOCKING_MARGIN_S = 2.0  # that an answer to a blocking query may be late, beyond Consul's own jitter

Callback = Callable[[consul.base.Response], Any]
Params = Sequence[tuple[str, Any]] | None


class ServerError(consul.ConsulException):  # type: ignore[misc] # py-consul has no types, as below
    """An answer with a status from 500 on, for which py-consul has no type of its own."""


class Http(consul.base.HTTPClient):  # type: ignore[misc]
    """Carries requests. Raises httpx.HTTPError, and what the callback raises for a status of failure."""

    def __init__(self, client: "httpx.AsyncClient", timeout: float, namespace: str) -> None:
        self._client = client
        self._timeout = timeout
        self._namespace = namespace

    async def _send(
        self,
        method: str,
        callback: Callback,
        path: str,
        params: Params = None,
        data: str | bytes = "",
        headers: Any = None,
        raw: bool = False,  # of `get` alone: the body as it came
    ) -> Any:
        import httpx

        query: list[tuple[str, str | int | float | bool | None]] = []
        query += [(name, str(value)) for name, value in params or ()]
        if self._namespace:
            query.append(("ns", self._namespace))
        limit = self._compute_timeout(params)
        try:
            # httpx's own time-outs start again with each byte that arrives.
            async with (
                asyncio.timeout((limit.read or 0) + self._timeout),
                self._client.stream(
                    method, path, params=query, content=data or None, headers=headers, timeout=limit
                ) as answer,
            ):
                content = await read_body(NAME, answer, MAX_INSTANCES if raw else MAX_JSON)
        except TimeoutError:
            raise httpx.ReadTimeout("the answer did not end in time") from None
        as_it_came = raw and answer.is_success  # else as text: JSON is UTF-8, whatever Consul's header says
        body = bytes(content) if as_it_came else content.decode(errors="replace")
        if answer.is_server_error:
            raise ServerError(f"{answer.status_code} {body!s}")
        return callback(consul.base.Response(answer.status_code, answer.headers, body))

    def _compute_timeout(self, params: Params) -> "httpx.Timeout":
        """Return the time-out: a blocking query is silent for its wait and up to a sixteenth more."""
        import httpx

        given = dict(params or ())
        wait = float(given.get("wait", "0s").removesuffix("s")) if "index" in given else 0.0
        return httpx.Timeout(
            self._timeout, read=self._timeout + wait + wait / 16 + (BLOCKING_MARGIN_S if wait else 0)
        )

    get = partialmethod(_send, "GET")
    put = partialmethod(_send, "PUT")
    delete = partialmethod(_send, "DELETE")
    post = partialmethod(_send, "POST")

    async def close(self) -> None:
        await self._client.aclose()


class _Undecoded:
    """A client for py-consul's `Health`, which requests the same and returns the index and the bytes.

    json.loads would make objects of everything in thousands of instances, and stall the event loop meanwhile.
    """

    def __init__(self, api: "Api") -> None:
        self.dc, self.prepare_headers = api.dc, api.prepare_headers
        self.http = self
        self._get = api.http.get

    def get(self, _: Callback, path: str, params: Params = None, headers: Any = None) -> Any:
        return self._get(_read_undecoded, path, params, headers=headers, raw=True)


def _read_undecoded(response: consul.base.Response) -> tuple[str, bytes]:
    body: bytes = CB.binary()(response)  # raises what py-consul raises for a status of failure
    if "X-Consul-Index" not in response.headers:
        raise consul.ConsulException("the answer has no X-Consul-Index: is this Consul?")
    return response.headers["X-Consul-Index"], body


class Api(consul.base.Consul):  # type: ignore[misc]
    """py-consul's client on that transport."""

    def __init__(self, settings: ConsulSettings, token: str) -> None:
        self._settings = settings
        super().__init__(settings.host, settings.port, scheme=settings.scheme, dc=settings.datacenter or None)
        self.token = token  # the environment's would have gone before the one that was given
        self.health = Health(_Undecoded(self))

    def http_connect(self, *_: Any, **__: Any) -> Http:
        import httpx

        settings = self._settings
        client = httpx.AsyncClient(
            base_url=settings.address,
            verify=settings.tls(),
            trust_env=False,  # a proxy that the environment names is not for an agent
            headers=UNENCODED,
            cookies=make_empty_cookies(),
            limits=httpx.Limits(max_connections=16),
        )
        return Http(client, settings.timeout, settings.namespace)
