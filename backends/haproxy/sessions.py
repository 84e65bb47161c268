"""The sessions on one server, from `show sess`, and those that replaced workers still have."""

import heapq
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping

from backends.errors import BackendError, PermissionDenied, Refused, UnreadableReply
from backends.haproxy import commands
from backends.haproxy.columns import Name
from backends.haproxy.parse import MAX_NAME_CHARS, SERVER_ROW, parse_number, parse_stat
from backends.model import ServerRef, Sessions, Stream
from backends.text import shorten

_LINE = re.compile(r"0x[0-9a-f]+: .* src=(?P<client>\S+) fe=(?P<frontend>\S+) be=")
_PLACE = re.compile(r" be=(\S+) srv=(\S+) ")
_AGE = re.compile(r" age=(\S+)")
_SILENCE = re.compile(r"[,\[](?:rx|wx|rex|wex)=(\w+)")  # an empty one is a direction without a limit
_TIME = re.compile(r"(?:(\d{1,9})d)?(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s)?", re.ASCII)
_UNITS = (86400, 3600, 60, 1)
MAX_SESSIONS = 500_000
_REFUSALS = ("No such backend.", "No such server.")


def is_complete(received: bytes | bytearray) -> bool:
    """Return whether these bytes are a whole reply: lines and an empty one, or without sessions only that."""
    return received == b"\n" or received.endswith(b"\n\n")


def is_whole(text: str) -> bool:
    """Return whether this text is a whole reply, as `is_complete` does for bytes."""
    return text == "\n" or text.endswith("\n\n")


def raise_if_cut(instance: str, text: str) -> None:
    """Raise UnreadableReply when a reply to `show sess` was cut off."""
    if not is_whole(text):
        raise UnreadableReply(instance, f"`show sess` was cut off after {len(text)} characters")


def parse_sessions(ref: ServerRef, text: str, limit: int) -> Sessions:
    """Return the sessions of one server from the reply; before 3.2 it has those of all servers.

    Args:
        ref: the server.
        text: the reply to `commands.sessions`.
        limit: how many of the oldest to return.

    Raises:
        PermissionDenied, Refused: with HAProxy's words, when that is what it says.
        UnreadableReply: the reply was cut off, or a line of this server cannot be understood.
    """
    raise_if_refused(ref.instance, text)
    raise_if_cut(ref.instance, text)
    # A reply may be megabytes: only the lines of this server are parsed, and only the oldest in full.
    if text.count("\n") > MAX_SESSIONS:
        raise UnreadableReply(ref.instance, f"`show sess` with more than {MAX_SESSIONS:,} lines")
    mark = f" be={ref.backend} srv={ref.server} "
    lines = [line for line in text.split("\n") if mark in line]
    oldest = heapq.nlargest(limit, lines, key=_sort_key)
    return Sessions(len(lines), tuple(_parse_stream(ref, line) for line in oldest))


def raise_if_refused(instance: str, text: str) -> None:
    """Raise PermissionDenied or Refused with HAProxy's words when `show sess` was refused."""
    words = text[:40].strip()
    if words == "Permission denied":
        raise PermissionDenied(instance, f"`show sess`: {words}; it needs level operator or admin")
    if words in _REFUSALS:
        raise Refused(instance, words)


def count_sessions(instance: str, text: str) -> Counter[Name]:
    """Count all sessions of a reply to `show sess`, by backend and server name. Raises UnreadableReply."""
    raise_if_cut(instance, text)
    return Counter((match[1], match[2]) for match in _PLACE.finditer(text))


def _sort_key(line: str) -> int:
    age = parse_age(line)
    return -1 if age is None else age


def _parse_stream(ref: ServerRef, line: str) -> Stream:
    match = _LINE.match(line)
    if match is None:
        raise UnreadableReply(ref.instance, f"expected a line of `show sess`, got {line[:120]!r}")
    limits = [_parse_seconds(text) for text in _SILENCE.findall(line)]
    return Stream(
        ref=ref,
        client=shorten(match["client"], MAX_NAME_CHARS),
        frontend=shorten(match["frontend"], MAX_NAME_CHARS),
        age=parse_age(line),
        silence_left=min((limit for limit in limits if limit is not None), default=None),
    )


def parse_age(line: str) -> int | None:
    """Return the age of the session of a line, in seconds; None when HAProxy does not report it."""
    found = _AGE.search(line)
    return _parse_seconds(found[1]) if found else None


def _parse_seconds(text: str) -> int | None:
    """Read a time such as ``3s``, ``2m5s`` or ``1d4h``; None for ``?`` and everything else."""
    match = _TIME.fullmatch(text)
    if match is None or not text:
        return None
    return sum(int(part) * unit for part, unit in zip(match.groups(), _UNITS, strict=True) if part)


_OLD_WORKERS = "# old workers"
_MAX_WORKERS = 100  # that are queried; a master with more of them has another problem

Ask = Callable[[str], Awaitable[str]]
"""Sends one read to the master and returns its whole reply."""


def parse_old_workers(instance: str, text: str) -> tuple[int, ...]:
    """Read the process ids of old workers from the reply to `show proc`: a column below a heading.

    Raises:
        UnreadableReply: one is not a number.
    """
    _, _, below = text.partition(_OLD_WORKERS)
    pids = []
    for line in below.splitlines()[1:]:
        if line.startswith("#"):
            break
        if words := line.split(maxsplit=1):
            try:
                pids.append(parse_number(words[0]))
            except ValueError as error:
                raise UnreadableReply(instance, f"`show proc`: {error}") from None
    return tuple(pids[:_MAX_WORKERS])


async def read_older_sessions(instance: str, backends: Collection[str], ask: Ask) -> Mapping[Name, int]:
    """Count the streams in flight and waiting in old workers, by backend and server name.

    Args:
        instance: the load balancer's name, for errors.
        backends: the backends whose servers count; all when empty.
        ask: the master.

    Raises:
        BackendError: the master does not answer, or its answer cannot be understood.
    """
    found: Counter[Name] = Counter()
    for pid in parse_old_workers(instance, await ask(commands.processes())):
        try:
            counts = await _read_worker(instance, pid, ask)
        except BackendError:
            if pid in parse_old_workers(instance, await ask(commands.processes())):
                raise
            continue  # it has ended meanwhile
        found.update({name: count for name, count in counts.items() if not backends or name[0] in backends})
    return {name: count for name, count in found.items() if count}


async def _read_worker(instance: str, pid: int, ask: Ask) -> Counter[Name]:
    rows = parse_stat(instance, await ask(commands.of_worker(pid, commands.server_statistics())))
    servers = [row for row in rows if row["type"] == SERVER_ROW]
    if not servers:  # HAProxy 2.2 shows no proxies any more that it has stopped, only their sessions
        return count_sessions(instance, await ask(commands.of_worker(pid, commands.all_sessions())))
    try:
        return Counter(
            {
                (row["pxname"], row["svname"]): parse_number(row["scur"]) + parse_number(row["qcur"])
                for row in servers
            }
        )
    except ValueError as error:
        raise UnreadableReply(instance, f"the statistics of worker {pid}: {error}") from None
