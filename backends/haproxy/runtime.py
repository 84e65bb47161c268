"""The Runtime API of one HAProxy: reads and writes, with a check of each reply."""

from collections.abc import Collection, Mapping, Sequence
from functools import partial

from backends.command import CommandListener
from backends.errors import PermissionDenied, Refused, UnknownOutcome
from backends.haproxy import commands, parse
from backends.haproxy.address import HaproxySettings, SshAddress, TcpAddress
from backends.haproxy.columns import Name
from backends.haproxy.config_facts import HaproxyFacts, ReadFile, read_facts, read_local
from backends.haproxy.fast_parse import fast_join
from backends.haproxy.join import join
from backends.haproxy.session_list import MAX_LIST_BYTES, parse_session_list
from backends.haproxy.sessions import is_complete, parse_sessions, read_older_sessions
from backends.haproxy.slices import SnapshotSlices
from backends.haproxy.transport import Opener, Transport, WriteReply, read_complete, write_complete
from backends.model import NEEDS_ADMIN, Backend, Server, ServerRef, SessionList, Sessions, Snapshot
from backends.text import absent, run_beside

_SEVERITY = "set severity-output number"
_WORKER = "@1 "  # on a master socket; what has no prefix there goes to the master itself


class Runtime:
    """One HAProxy through its Runtime API; implements `backends.protocols.LoadBalancer`.

    Args:
        name: the instance's name in the configuration.
        settings: with a `socket`.
        open_unix: opens the socket on its machine, for ``ssh://``.
        read_file: reads HAProxy's configuration file on the machine of the socket; by default files of this
            machine are read, unless the socket is on another one. Through a TCP socket only
            `settings.config_file` is read, as HAProxy may be anywhere.
        listener: receives every write with its reply, and reads too when `record_reads`.
        record_reads: False by default, since polls are large and many.
    """

    def __init__(
        self,
        name: str,
        settings: HaproxySettings,
        *,
        connect_timeout: float | None = None,
        open_unix: Opener | None = None,
        read_file: ReadFile | None = None,
        listener: CommandListener | None = None,
        record_reads: bool = False,
    ) -> None:
        self._name = name
        self._settings = settings
        address = settings.address()
        self._read_file = read_file
        if read_file is None and not isinstance(address, SshAddress):
            self._read_file = read_local
        self._elsewhere = isinstance(address, TcpAddress)
        self._read_seconds = connect_timeout or settings.timeout
        self._transport = Transport(
            name,
            address,
            timeout=settings.timeout,
            connect_timeout=connect_timeout,
            concurrency=settings.concurrency,
            open_unix=open_unix,
            listener=listener,
            record_reads=record_reads,
        )

    @property
    def name(self) -> str:
        return self._name

    async def snapshot(self, backends: Sequence[str] = ()) -> Snapshot:
        """Read info, level and the servers of these backends (all when empty), on one connection.

        Raises:
            Unreachable: no connection, or no complete answer in time.
            Refused: there is no such backend.
            UnreadableReply: the reply was cut off or cannot be understood.
        """
        try:
            snapshot = await self._snapshot(backends)
            if not SnapshotSlices(snapshot).missing(backends):
                return snapshot
        except PermissionDenied:
            raise
        except Refused as refused:
            if not backends:
                raise
            words = refused.problem
        else:
            words = "No such backend."
        # HAProxy does not say which one it missed, and `show stat NAME` shows the frontend when
        # one has the same name: check all of them.
        every = await self._snapshot(())
        slices = SnapshotSlices(every)
        if missing := slices.missing(backends):
            known = [backend.name for backend in every.backends]
            raise Refused(self._name, f"{words} {absent(missing, known)}")
        return slices.cut(backends)

    async def _snapshot(self, backends: Sequence[str]) -> Snapshot:
        reads = commands.snapshot(backends)
        text = await self._read(reads)
        return await run_beside(len(text), self._parse_snapshot, text, len(reads), backends)

    def _parse_snapshot(self, text: str, count: int, backends: Sequence[str]) -> Snapshot:
        info, level, *tables = parse.split_replies(self._name, text, count)
        found, servers = self._join(tables[0::2], tables[1::2])
        snapshot = Snapshot(
            parse.parse_info(self._name, info), parse.parse_level(self._name, level), found, servers
        )
        return SnapshotSlices(snapshot).cut(backends) if backends else snapshot

    def _join(
        self, states: Sequence[str], stats: Sequence[str]
    ) -> tuple[tuple[Backend, ...], Sequence[Server]]:
        if (fast := fast_join(self._name, stats, states)) is not None:
            return fast
        # The slow parsers read every reply, and report what they do not understand.
        state = [row for text in states for row in parse.parse_servers_state(self._name, text)]
        stat = [row for text in stats for row in parse.parse_stat(self._name, text)]
        return join(self._name, stat, state)

    async def sessions(self, backend: str, server: str, limit: int) -> Sessions:
        """Read what is in flight on one server; before 3.2 HAProxy sends that of all servers.

        Raises:
            Unreachable: no connection, or no complete answer in time.
            Refused, PermissionDenied: with HAProxy's words.
            UnreadableReply: the reply was cut off or cannot be understood.
            UnsafeCommand: a name that will not be sent.
        """
        ref = ServerRef(self._name, backend, server)
        text = await self._transport.read(self._build_line([commands.sessions(ref)]), is_complete)
        return await run_beside(len(text), parse_sessions, ref, text, limit)

    async def list_sessions(self, servers: Collection[Name]) -> SessionList:
        """List what is in flight on these servers, from at most `MAX_LIST_BYTES` of the reply.

        Raises:
            Unreachable: no connection, or no complete answer in time.
            PermissionDenied, Refused: with HAProxy's words.
            UnreadableReply: the reply was cut off or cannot be understood.
            UnsafeCommand: a name that will not be sent.
        """
        text = await self._transport.read(
            self._build_line([commands.listed_sessions(servers)]),
            lambda received: is_complete(received) or len(received) > MAX_LIST_BYTES,
        )
        return await run_beside(len(text), parse_session_list, self._name, text, frozenset(servers))

    async def older_sessions(self, backends: Sequence[str] = ()) -> Mapping[Name, int] | None:
        """Read what workers have in flight that a reload has replaced; None without a master socket.

        Raises:
            Unreachable: no connection, or no complete answer in time.
            UnreadableReply: a reply was cut off or cannot be understood.
        """
        if not self._settings.master:
            return None
        return await read_older_sessions(self._name, backends, self._transport.read)

    async def write(self, command: str) -> None:
        """Send one line built by `backends.haproxy.commands`, and judge each reply on it.

        HAProxy carries out the rest of a line when one command of it is refused; the error says so.

        Raises:
            Unreachable: it was never sent.
            Refused, PermissionDenied: with HAProxy's words.
            UnknownOutcome: it was sent, but the answer was lost or cut off.
        """
        sent = command.split(commands.SEPARATOR)
        # A master socket takes `set severity-output` for itself and does not pass the numbers on.
        parts = sent if self._settings.master else [_SEVERITY, *sent]
        whole = partial(write_complete, count=len(parts))
        replies = WriteReply.parse(await self._transport.write(self._build_line(parts), whole))
        answers = replies.answers if self._settings.master else replies.answers[1:]
        if not replies.complete or len(answers) < len(sent):
            said = f": {replies.words}" if replies.words else ""
            raise UnknownOutcome(self._name, f"the answer to `{command}` was cut off{said}")
        if not replies.words:
            return
        problem = _refusal(sent, answers, replies.words)
        if "Permission denied" in replies.words:
            raise PermissionDenied(self._name, f"{problem}; {NEEDS_ADMIN}")
        raise Refused(self._name, problem)

    async def facts(self) -> HaproxyFacts:
        """Read HAProxy's configuration file, if it can be found and read. Never raises for that."""
        ask = None if self._elsewhere else self._ask_config_files
        return await read_facts(self._settings.config_file, ask, self._read_file, self._read_seconds)

    async def _ask_config_files(self) -> str:
        return parse.split_replies(self._name, await self._read((commands.config_files(),)), 1)[0]

    async def _read(self, reads: Sequence[str]) -> str:
        return await self._transport.read(self._build_line(reads), partial(read_complete, count=len(reads)))

    def _build_line(self, parts: Sequence[str]) -> str:
        prefix = _WORKER if self._settings.master else ""
        return commands.SEPARATOR.join(prefix + part for part in parts)


def _refusal(sent: Sequence[str], answers: Sequence[str], words: str) -> str:
    if len(answers) != len(sent):
        return f"`{commands.SEPARATOR.join(sent)}`: {words}"
    text = "; ".join(f"`{line}`: {words}" for line, words in zip(sent, answers, strict=True) if words)
    return text + (" (the rest of the line was executed)" if "" in answers else "")
