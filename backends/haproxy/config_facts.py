"""Facts that only HAProxy's configuration file reveals, and that matter before servers are taken out."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from backends.errors import BackendError
from backends.haproxy.columns import Name
from backends.haproxy.config_file import ConfigFile, parse_config
from backends.local_files import read_regular_file
from backends.model import Persistence
from backends.text import decode, shorten

MAX_BYTES = 16 * 1024 * 1024  # of all files together
MAX_LINES = 500_000  # likewise
MAX_FILES = 256
_MAX_PROBLEM = 400  # characters; the paths and their errors come from another machine

ReadFile = Callable[[str, int], Awaitable[str]]
"""Reads a regular text file, by its path, of at most so many bytes; raises OSError or BackendError."""


@dataclass(frozen=True, slots=True)
class HaproxyFacts:
    """Implements `backends.protocols.LoadBalancerFacts`; None means that the file could not be read.

    Attributes:
        state_file: every backend with servers loads its state from a file at a reload. Something
            must still write that file: HAProxy does not.
        shutdown_on_marked_down: backends in which maintenance cuts requests in flight.
        persistence: what keeps clients on their servers, of the backends where something does.
        hold_obsolete_s: of the backends whose servers are resolved at run time, for how many seconds a record
            that is gone still counts.
        relative_ports: backend and name of the servers whose port HAProxy computes from the client's.
        all_backups: backends in which all backup servers serve together, by `option allbackups`.
        consistent_hashes: backends with `hash-type consistent`, whose weights can be changed.
        unseen: why the file could not be read; empty if it was.
    """

    state_file: bool | None = None
    shutdown_on_marked_down: frozenset[str] | None = None
    persistence: Mapping[str, Persistence] | None = None
    hold_obsolete_s: Mapping[str, float] | None = None
    relative_ports: frozenset[Name] | None = None
    all_backups: frozenset[str] | None = None
    unseen: str = ""
    consistent_hashes: frozenset[str] | None = None


async def read_facts(
    config_file: str,
    ask_config_files: Callable[[], Awaitable[str]] | None,
    read_file: ReadFile | None,
    timeout_s: float,
) -> HaproxyFacts:
    """Find the configuration files, read and parse them.

    Args:
        config_file: the path in the settings; when empty, HAProxy reports it.
        ask_config_files: gets the reply to `show env HAPROXY_CFGFILES`; None where what HAProxy names may be
            on another machine than the one that is read.
        read_file: reads one file where HAProxy runs; None when nothing can.
        timeout_s: seconds for the files, all together.
    """
    if read_file is None or not (config_file or ask_config_files):
        return HaproxyFacts(unseen="HAProxy's configuration file is on a machine we cannot read")
    try:
        paths = (
            [config_file] if config_file or not ask_config_files else _parse_paths(await ask_config_files())
        )
        if problem := "" if config_file else _find_problem(paths):
            return HaproxyFacts(unseen=shorten(problem, _MAX_PROBLEM))
        async with asyncio.timeout(timeout_s):
            text = await _read_all(paths, read_file)
        found = await asyncio.to_thread(_parse, text)
    except TimeoutError:
        return HaproxyFacts(unseen=f"HAProxy's configuration file was not read within {timeout_s:g} s")
    except (OSError, BackendError) as error:
        # The line already begins with the load balancer's name.
        words = error.problem if isinstance(error, BackendError) else str(error)
        problem = shorten(f"HAProxy's configuration file: {words}", _MAX_PROBLEM)
        return HaproxyFacts(unseen=problem)
    return HaproxyFacts(
        found.state_file,
        found.shutdown_on_marked_down,
        found.persistence,
        found.hold_obsolete_s,
        found.relative_ports,
        found.all_backups,
        consistent_hashes=found.consistent_hashes,
    )


async def read_local(path: str, most_bytes: int) -> str:
    """Read a regular file of this machine; raises OSError."""
    return await asyncio.to_thread(decode, await read_regular_file(path, most_bytes))


async def _read_all(paths: list[str], read_file: ReadFile) -> str:
    texts, room = list[str](), MAX_BYTES
    for path in paths:
        try:
            texts.append(await read_file(path, room))
        except OSError as error:
            raise OSError(f"{path}: {error.strerror or error}") from error
        room = max(0, room - len(texts[-1]))
    return "\n".join(texts)


def _parse(text: str) -> ConfigFile:
    if text.count("\n") > MAX_LINES:
        raise OSError(f"more than {MAX_LINES:,} lines")
    return parse_config(text)


def _parse_paths(reply: str) -> list[str]:
    """Read the paths in ``HAPROXY_CFGFILES=/etc/haproxy/haproxy.cfg;/etc/haproxy/more.cfg``."""
    _, _, value = reply.strip().partition("=")
    return [path for path in value.split(";", MAX_FILES) if path]


def _find_problem(paths: list[str]) -> str:
    """Return what is wrong with the paths that HAProxy names; empty when nothing is."""
    if not paths:
        return "HAProxy names no configuration file; set `config_file`"
    if len(paths) > MAX_FILES:
        return f"HAProxy names more than {MAX_FILES} configuration files; set `config_file`"
    relative = next((path for path in paths if not path.startswith("/")), "")
    if relative:
        return f"HAProxy was started with a relative path, {relative}; set `config_file`"
    return ""
