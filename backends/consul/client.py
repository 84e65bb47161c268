"""A client of Consul: the requests that Rolldeck needs, with checked answers and errors."""

import asyncio
import logging
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote

from backends.command import WIRE, log_exchange
from backends.consul.answers import Entry, KeyValue, convert_answer, decode_entries, describe_error
from backends.consul.settings import NAME, ConsulSettings
from backends.errors import Unreachable, UnreadableReply

if TYPE_CHECKING:
    from backends.consul.transport import Api


T = TypeVar("T")

MIN_TTL_S = 10  # the limit of Consul itself
INDEX_RESET_PAUSE_S = 0.2  # until the next request, after the index went backwards


@dataclass(frozen=True, slots=True)
class Pair:
    """One key with its value.

    Attributes:
        modified: the index of its last change, for compare-and-set.
        locked: how often its lock was acquired so far, a number that only grows from holder to holder.
        session: the session that holds its lock; empty without a holder.
    """

    key: str
    value: bytes
    modified: int
    locked: int
    session: str


class Consul:
    """A client of one agent, opened at the first request. All methods raise BackendError."""

    def __init__(self, settings: ConsulSettings) -> None:
        self._settings = settings
        self._api: Api | None = None
        self._opening = asyncio.Lock()

    async def close(self) -> None:
        if self._api is not None:
            await self._api.http.close()
            self._api = None

    async def open(self) -> None:
        """Read the token and the certificates. Raises ConfigError."""
        await self._open()

    async def leader(self) -> str:
        """Return the server that leads now. Raises Unreachable also without a leader."""
        found: str = convert_answer(
            await self._call("the leader", lambda api: api.status.leader()), str, "the leader"
        )
        if not found:
            raise Unreachable(NAME, "the servers have no leader at the moment")
        return found

    async def services(
        self,
        name: str,
        tags: list[str],
        datacenter: str = "",
        index: int = 0,
        wait: float = 0,
        where: str = "",
    ) -> tuple[int, list[Entry]]:
        """Read the instances of a service with their checks.

        Args:
            name: the name of the service.
            tags: tags that an instance must have, all of them.
            datacenter: the datacenter; empty for that of the settings.
            index: the index of the last answer, to wait for the next change.
            wait: seconds of that wait.
            where: a filter in Consul's language.

        Returns:
            The index for the next call, and the instances.
        """
        what = f"health of service {name}"
        after, body = await self._read(
            what,
            lambda api, **block: api.health.service(
                name, tag=tags or None, dc=datacenter or None, filter_expr=where or None, **block
            ),
            index,
            wait,
        )
        return after, decode_entries(body, what)

    async def get(self, key: str, index: int = 0, wait: float = 0) -> tuple[int, Pair | None]:
        """Read a key as all servers agree on it; the index is that of `services`."""
        what = f"key {key}"
        after, found = await self._read(
            what,
            lambda api, **block: api.kv.get(_quote_key(key), consistency="consistent", **block),
            index,
            wait,
        )
        pair: KeyValue | None = convert_answer(found, KeyValue | None, what)
        return after, None if pair is None else _build_pair(pair)

    async def list(self, prefix: str, index: int = 0, wait: float = 0) -> tuple[int, list[Pair]]:
        """Read all keys with a prefix, in their order; the index is that of `services`."""
        what = f"keys {prefix}"
        after, found = await self._read(
            what,
            lambda api, **block: api.kv.get(
                _quote_key(prefix), recurse=True, consistency="consistent", **block
            ),
            index,
            wait,
        )
        pairs: list[KeyValue] = convert_answer(found, list[KeyValue] | None, what) or []
        return after, [_build_pair(pair) for pair in pairs]

    async def put(
        self, key: str, value: bytes, *, cas: int | None = None, acquire: str = "", release: str = ""
    ) -> bool:
        """Set a key, and return whether the condition allowed it.

        Args:
            key: the key.
            value: the value; at most 512 KiB, which is Consul's own limit.
            cas: set it only if its last change has this index; 0: only if it does not exist.
            acquire: a session that acquires the lock of the key.
            release: a session that releases it.
        """
        done = await self._call(
            f"set {key}",
            lambda api: api.kv.put(
                _quote_key(key), value, cas=cas, acquire=acquire or None, release=release or None
            ),
        )
        return bool(done)

    async def delete(self, key: str, *, recurse: bool = False) -> None:
        await self._call(f"delete {key}", lambda api: api.kv.delete(_quote_key(key), recurse=recurse or None))

    async def begin_session(self, name: str, ttl: int, lock_delay: int) -> str:
        """Create a session that ends unless it is renewed in time; its locks are released then.

        Args:
            name: for people.
            ttl: seconds, at least `MIN_TTL_S`; Consul may take up to twice that.
            lock_delay: seconds after its end in which nobody can acquire what it had locked.
        """
        what = "create a session"
        created = await self._call(
            what,
            # By default a session ends when its agent is unhealthy: in a cluster seconds after it hangs.
            lambda api: api.session.create(name, checks=[], lock_delay=lock_delay, ttl=ttl),
        )
        session: str = convert_answer(created, str, what)
        return session

    async def renew_session(self, session: str) -> bool:
        """Renew a session, and return whether it still existed."""
        from consul import NotFound

        try:
            await self._call("renew the session", lambda api: api.session.renew(session), passing=(NotFound,))
        except NotFound:
            return False
        return True

    async def end_session(self, session: str) -> None:
        await self._call("end the session", lambda api: api.session.destroy(session))

    async def _read(
        self, what: str, call: Callable[..., Awaitable[tuple[str, T]]], index: int, wait: float
    ) -> tuple[int, T]:
        """Read now or after the next change, and return the index for the next call too."""
        block = {"index": index, "wait": f"{wait:g}s"} if index else {}
        index_text, found = await self._call(what, lambda api: call(api, **block))
        try:
            after = int(index_text)
        except ValueError as error:
            raise UnreadableReply(NAME, f"{what}: an index that is no number: {index_text!r}") from error
        if after < index or not after:  # a restored or new server begins to count again
            # The next request will not block, and the caller may go on for ever.
            await asyncio.sleep(INDEX_RESET_PAUSE_S)
            return 0, found
        return after, found

    async def _call(
        self,
        what: str,
        call: Callable[["Api"], Awaitable[T]],
        *,
        passing: tuple[type[Exception], ...] = (),
    ) -> T:
        api = await self._open()
        started = time.monotonic()
        import consul
        import httpx

        reply, ok = "", False
        try:
            result = await call(api)
            ok = True
            # For thousands of instances this takes as long as reading them.
            if WIRE.isEnabledFor(logging.DEBUG):
                reply = f"{result!r:.200}"
            return result
        except passing:
            raise
        except (httpx.HTTPError, ssl.SSLError, consul.ConsulException) as error:
            reply = str(error)
            raise describe_error(what, error, self._settings, token=bool(api.token)) from None
        except (
            ValueError,
            AttributeError,
            RecursionError,
        ) as error:  # py-consul's, of JSON that is none of Consul's
            reply = repr(error)
            raise UnreadableReply(NAME, f"{what}: the answer is not understood") from None
        finally:
            log_exchange(NAME, what, reply, ok, time.monotonic() - started)

    async def _open(self) -> "Api":
        async with self._opening:
            if self._api is None:
                from backends.consul.transport import Api

                token = await self._settings.token()
                self._api = Api(self._settings, token.reveal() if token else "")
            return self._api


def _quote_key(key: str) -> str:
    """Quote a key as part of a path, which py-consul takes as it is."""
    return quote(key, safe="/")


def _build_pair(found: KeyValue) -> Pair:
    return Pair(found.key, found.value or b"", found.modify_index, found.lock_index, found.session)
