"""HAProxy's HTTP statistics page, a source that can only be read, for operators without a socket.

Its CSV has no admin bits, addresses, version or process id. These are derived from the status words or left
empty. A drained server that is down shows "DOWN" and reads as ready.
"""

import asyncio
import time
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Never

from backends.command import log_exchange
from backends.errors import PermissionDenied, Refused, Unreachable, UnreadableReply
from backends.haproxy.address import HaproxySettings
from backends.haproxy.config_facts import HaproxyFacts
from backends.haproxy.join import build_backend, servers_of
from backends.haproxy.parse import BACKEND_ROW, SERVER_ROW, Row, parse_stat
from backends.haproxy.transport import MAX_READ_REPLY_BYTES
from backends.http_common import UNENCODED, load_authorities, make_empty_cookies, read_body
from backends.model import Admin, Info, Level, Operational, Snapshot
from backends.secrets import load_secret
from backends.text import absent, decode, run_beside

if TYPE_CHECKING:
    import httpx

_READ_ONLY = "read-only: HTTP statistics page"
_STOPPED = ("DOWN", "MAINT")


class StatsPage:
    """One HAProxy through its statistics page; implements `backends.protocols.LoadBalancer`, read-only.

    Args:
        name: the instance's name in the configuration.
        settings: with a `stats_url`; the password is read from its place at the first snapshot.
    """

    def __init__(self, name: str, settings: HaproxySettings) -> None:
        self._name = name
        self._settings = settings
        self._url = settings.stats_url.removesuffix(";csv") + ";csv"
        self._auth: httpx.BasicAuth | None = None  # shows no password when it is printed

    @property
    def name(self) -> str:
        return self._name

    async def snapshot(self, backends: Sequence[str] = ()) -> Snapshot:
        """Read the page once; it always has all backends.

        Raises:
            Unreachable: no connection, or no complete answer in time.
            PermissionDenied: user name and password are refused.
            Refused: there is no such backend.
            UnreadableReply: the answer is not the CSV of a statistics page, or was cut off.
            ConfigError: the password cannot be read.
        """
        text = await self.fetch()
        return await run_beside(len(text), self._parse, text, backends)

    def _parse(self, text: str, backends: Sequence[str]) -> Snapshot:
        if not text.endswith("\n"):
            raise UnreadableReply(self._name, f"{self._url}: the page was cut off")
        every = parse_stat(self._name, text)
        rows = [row for row in every if not backends or row["pxname"] in backends]
        found = tuple(build_backend(self._name, row) for row in rows if row["type"] == BACKEND_ROW)
        missing = [name for name in backends if name not in {backend.name for backend in found}]
        if missing:
            known = list(dict.fromkeys(row["pxname"] for row in every if row["type"] == BACKEND_ROW))
            raise Refused(self._name, f"not on the statistics page: {absent(missing, known)}")
        own = [(row, _derived_state(row)) for row in rows if row["type"] == SERVER_ROW]
        servers = servers_of(self._name, own)
        info = Info(self._name, "", 0, 0, False)
        return Snapshot(info, Level.USER, found, servers, read_only="a statistics page")

    async def sessions(self, backend: str, server: str, limit: int) -> Never:
        """Refuse: the page counts sessions, and does not list them."""
        raise PermissionDenied(self._name, f"{_READ_ONLY}: it counts sessions, and does not list them")

    async def list_sessions(self, servers: Collection[tuple[str, str]]) -> Never:
        """Refuse, as `sessions` does."""
        raise PermissionDenied(self._name, f"{_READ_ONLY}: it counts sessions, and does not list them")

    async def older_sessions(self, backends: Sequence[str] = ()) -> None:
        """Return None: the page does not show them."""

    async def write(self, command: str) -> Never:
        """Refuse: nothing can be changed from here."""
        raise PermissionDenied(self._name, f"{_READ_ONLY} (`{command}` was not sent)")

    async def facts(self) -> HaproxyFacts:
        """Return no facts: the page shows none."""
        return HaproxyFacts(unseen=_READ_ONLY)

    async def fetch(self) -> str:
        """Read the page as it is: the CSV of `show stat` for level user."""
        import httpx

        await self._load_password()
        started, received, whole = time.monotonic(), bytearray(), False
        try:
            # httpx's own time-out starts again with each byte that arrives
            async with asyncio.timeout(2 * self._settings.timeout):
                received = await self._receive()
            whole = True
        except (httpx.TimeoutException, TimeoutError):
            problem = f"{self._url}: no complete answer within {self._settings.timeout:g} s"
            raise Unreachable(self._name, problem) from None
        except httpx.RemoteProtocolError as error:
            raise UnreadableReply(self._name, f"{self._url}: {error}") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Unreachable(self._name, f"{self._url}: {error}") from error
        finally:
            log_exchange(self._name, f"GET {self._url}", received, whole, time.monotonic() - started)
        return await run_beside(len(received), decode, received)

    async def _receive(self) -> bytearray:
        async with self._make_client() as client, client.stream("GET", self._url) as response:
            self._check_status(response)
            return await read_body(self._name, response, MAX_READ_REPLY_BYTES)

    async def _load_password(self) -> None:
        import httpx

        given = self._settings
        if self._auth is None and given.username:
            secret = await load_secret(
                given.password_env,
                given.password_file,
                given.password_command,
                f"haproxy.{self._name}.password",
            )
            self._auth = httpx.BasicAuth(given.username, secret.reveal() if secret else "")

    def _make_client(self) -> "httpx.AsyncClient":
        import httpx

        return httpx.AsyncClient(
            auth=self._auth,
            headers=UNENCODED,
            cookies=make_empty_cookies(),
            timeout=self._settings.timeout,
            verify=load_authorities(),
        )

    def _check_status(self, response: "httpx.Response") -> None:
        status = response.status_code
        if status in (401, 403):
            refusal = "user name or password refused" if self._settings.username else "asks for a login"
            raise PermissionDenied(self._name, f"{self._url}: {refusal} (HTTP {status})")
        if status != 200:
            raise UnreadableReply(self._name, f"{self._url}: HTTP {status} instead of the page")


def _derived_state(row: Row) -> dict[str, str]:
    """Return the columns of `show servers state`, as far as the page has them."""
    status = row["status"]
    operational = Operational.STOPPED if status.startswith(_STOPPED) else Operational.RUNNING
    # These columns are empty, and not 0, when there is no check.
    checked, agent = row["chkfail"] != "", row["agent_status"] != ""
    weight = row["uweight"] or row["weight"]  # 2.2 has only the effective one
    return {
        "srv_addr": "-",
        "srv_fqdn": "-",
        "srvrecord": "-",
        "srv_port": "0",
        "srv_op_state": str(int(operational)),
        "srv_admin_state": str(int(_admin_state_of(status))),
        "srv_uweight": weight,
        "srv_iweight": weight,
        "srv_check_state": "6" if checked else "0",
        "srv_agent_state": "6" if agent else "0",
    }


def _admin_state_of(status: str) -> Admin:
    if status.startswith("MAINT (via"):
        return Admin.INHERITED_MAINT
    if status.startswith("MAINT (resolution"):
        return Admin.RESOLUTION_MAINT
    if status.startswith("MAINT"):
        return Admin.FORCED_MAINT
    if status.startswith("DRAIN") and "agent" not in status:
        return Admin.FORCED_DRAIN
    return Admin.NONE
