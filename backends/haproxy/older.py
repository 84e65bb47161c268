"""Workers that HAProxy's master has replaced and that still serve: what they have in flight.

After a reload they finish their sessions; the current worker counts none of these. Only the master
reaches them, by their process ids. See "show proc" in HAProxy's management guide.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping

from backends.columns import Name
from backends.errors import BackendError, Unmeasured
from backends.haproxy import commands
from backends.haproxy.parse import SERVER_ROW, number, parse_stat
from backends.haproxy.sessions import count_sessions

_OLD_WORKERS = "# old workers"
_MOST_WORKERS = 100  # that are asked; a master with more of them has a problem of its own

Ask = Callable[[str], Awaitable[str]]
"""Sends one read to the master and returns its whole reply."""


def parse_old_workers(instance: str, text: str) -> tuple[int, ...]:
    """Their process ids, from the reply to `show proc`: the first column of the lines below a heading.

    Raises:
        Unmeasured: one is not a number.
    """
    _, _, below = text.partition(_OLD_WORKERS)
    pids = []
    for line in below.splitlines()[1:]:
        if line.startswith("#"):
            break
        if words := line.split(maxsplit=1):
            try:
                pids.append(number(words[0]))
            except ValueError as error:
                raise Unmeasured(instance, f"`show proc`: {error}") from None
    return tuple(pids[:_MOST_WORKERS])


async def read_older_sessions(instance: str, backends: Collection[str], ask: Ask) -> Mapping[Name, int]:
    """Streams in flight and waiting in old workers, by backend and server name.

    Args:
        instance: the load balancer's name, for errors.
        backends: whose servers count; all when empty.
        ask: the master.

    Raises:
        BackendError: the master could not be asked, or what it says cannot be understood.
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
            {(row["pxname"], row["svname"]): number(row["scur"]) + number(row["qcur"]) for row in servers}
        )
    except ValueError as error:
        raise Unmeasured(instance, f"the statistics of worker {pid}: {error}") from None
