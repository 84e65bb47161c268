"""What only HAProxy's configuration file tells, and what matters before servers are taken out."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from backends.errors import BackendError
from backends.haproxy.config_file import parse_config

_MOST_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class HaproxyFacts:
    """Implements `backends.base.LoadBalancerFacts`; None means that it could not be seen.

    Attributes:
        state_file: every backend with servers loads its state from a file at a reload. Something
            must still write that file: HAProxy does not.
        shutdown_on_marked_down: backends in which maintenance cuts requests in flight.
        unseen: why nothing could be seen; empty when it could.
    """

    state_file: bool | None = None
    shutdown_on_marked_down: frozenset[str] | None = None
    unseen: str = ""


async def read_facts(
    config_file: str,
    ask_config_files: Callable[[], Awaitable[str]],
    read_file: Callable[[str], Awaitable[str]] | None,
) -> HaproxyFacts:
    """Find the configuration files, read and parse them.

    Args:
        config_file: the path from our settings; when empty HAProxy is asked.
        ask_config_files: gets the reply to `show env HAPROXY_CFGFILES`.
        read_file: reads one file where HAProxy runs; None when nothing can.
    """
    if read_file is None:
        return HaproxyFacts(unseen="HAProxy's configuration file is on a machine we cannot read")
    try:
        paths = [config_file] if config_file else _paths(await ask_config_files())
        if not paths:
            return HaproxyFacts(unseen="HAProxy names no configuration file; set `config_file`")
        if not config_file and not all(path.startswith("/") for path in paths):
            problem = f"HAProxy was started with a relative path, {paths[0]}; set `config_file`"
            return HaproxyFacts(unseen=problem)
        text = "\n".join([await read_file(path) for path in paths])
    except (OSError, BackendError) as error:
        return HaproxyFacts(unseen=f"HAProxy's configuration file: {error}")
    found = parse_config(text)
    return HaproxyFacts(found.state_file, found.shutdown_on_marked_down)


async def read_local(path: str) -> str:
    """Read a file of this machine; raises OSError."""
    return await asyncio.to_thread(_read, path)


def _read(path: str) -> str:
    with Path(path).open(encoding="utf-8", errors="replace") as stream:
        return stream.read(_MOST_BYTES)


def _paths(reply: str) -> list[str]:
    """Of ``HAPROXY_CFGFILES=/etc/haproxy/haproxy.cfg;/etc/haproxy/more.cfg``."""
    _, _, value = reply.strip().partition("=")
    return [path for path in value.split(";") if path]
