"""The load balancers of an application as one: commands go to all, and are read back from each."""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from backends.errors import BackendError, Refused, UnknownOutcome, UnreadableReply
from backends.haproxy.columns import names_of
from backends.model import Info, Server, ServerRef, Snapshot
from backends.protocols import LoadBalancer
from orchestrator.balancers.request_errors import Sample

T = TypeVar("T")
Build = Callable[[ServerRef], str]

MAX_LISTED_PROCESSES = 8  # process numbers that a message lists


class BalancerGroup:
    """The load balancers in front of one application.

    A load balancer that cannot be asked fails the whole call: what was not measured never passes.
    """

    def __init__(self, balancers: Sequence[LoadBalancer], backends: Sequence[str]) -> None:
        self.balancers = {balancer.name: balancer for balancer in balancers}
        self.backends = tuple(backends)
        self.lock = asyncio.Lock()  # a guard and the drain that it allows are one action
        self.reloads = 0  # reloads of HAProxy whose lost states were set again
        self.on_read: Callable[[Collection[Server]], None] = _ignore  # is called with what `servers` has read
        self.on_snapshot: Callable[[Snapshot], None] = _ignore  # is called with every snapshot that is read
        self._processes: dict[str, tuple[int, int]] | None = None  # pid and uptime; None: not tracked
        self._infos: dict[str, Info] = {}  # as they were read last

    # -- reloads ------------------------------------------------------------------------------

    def track_reloads(self) -> None:
        """Track reloads: from the next read on, another process does not count until it is acknowledged."""
        self._processes = {}

    def stop_tracking(self) -> None:
        """Stop tracking reloads."""
        self._processes = None
        self.on_read = self.on_snapshot = _ignore

    def acknowledge(self, snapshot: Snapshot) -> None:
        """Accept this HAProxy process as current."""
        self.reloads += self.is_reloaded(snapshot)
        if self._processes is not None:
            self._processes[snapshot.info.instance] = (snapshot.info.pid, snapshot.info.uptime)

    def is_reloaded(self, snapshot: Snapshot) -> bool:
        """Return whether a snapshot comes from another process than the one that was accepted."""
        known = (self._processes or {}).get(snapshot.info.instance)
        if known is None:
            return False
        pid, uptime = known
        return snapshot.info.pid != pid or snapshot.info.uptime < uptime

    async def read_current(self, name: str, backends: Sequence[str] | None = None) -> Snapshot:
        """Read one load balancer, and refuse one that was reloaded: it has forgotten what was set there.

        Args:
            name: of the load balancer.
            backends: see `read`.

        Raises:
            UnreadableReply: it was reloaded, and what was set there is being set again.
            BackendError: as `read`.
        """
        snapshot = await self.read(name, backends)
        if self.is_reloaded(snapshot):
            raise UnreadableReply(name, "was reloaded; its states and weights are being restored")
        if self._processes is not None and name not in self._processes:
            self.acknowledge(snapshot)
        return snapshot

    # -- reading ------------------------------------------------------------------------------

    async def read_all(self, *, whole: bool = False) -> dict[str, Snapshot]:
        """Read every load balancer, in parallel.

        Args:
            whole: with the backends that are not of the application too.

        Raises:
            BackendError: the first one.
        """
        backends = () if whole else None
        snapshots = await _gather_all(self.read_current(name, backends) for name in self.balancers)
        return dict(zip(self.balancers, snapshots, strict=True))

    async def read(self, name: str, backends: Sequence[str] | None = None) -> Snapshot:
        """Read one load balancer.

        Args:
            name: of the load balancer.
            backends: which; by default those of the application, and all that there are when empty.

        Raises:
            BackendError: it cannot be read, or has no such backend.
        """
        snapshot = await self.balancers[name].snapshot(self.backends if backends is None else backends)
        if snapshot.info.stopping:
            # In the middle of a reload; the new one knows nothing of what this one says.
            raise UnreadableReply(
                name, f"an old worker answered, which is stopping (pid {snapshot.info.pid})"
            )
        self._infos[name] = snapshot.info
        self.on_snapshot(snapshot)
        return snapshot

    async def older_sessions(self, refs: Collection[ServerRef]) -> dict[str, int]:
        """Count the sessions of processes that a reload has replaced, where they can be seen.

        Returns:
            The sessions on these servers by load balancer; one that cannot see them is left out.
        """
        wanted = {name: self._list_backends(name, refs) for name in sorted({ref.instance for ref in refs})}
        counts = await _gather_all(self.balancers[name].older_sessions(own) for name, own in wanted.items())
        counted = {(ref.instance, ref.backend, ref.server) for ref in refs}
        return {
            name: sum(
                count for (backend, server), count in found.items() if (name, backend, server) in counted
            )
            for name, found in zip(wanted, counts, strict=True)
            if found is not None
        }

    def started_within(self, seconds: float, names: Iterable[str]) -> dict[str, int]:
        """Return the load balancers whose process is younger, and how old it is in seconds."""
        infos = (self._infos[name] for name in names if name in self._infos)
        return {info.instance: info.uptime for info in infos if info.uptime < seconds}

    async def servers(
        self, refs: Collection[ServerRef], others: Collection[ServerRef] = ()
    ) -> dict[ServerRef, Server]:
        """Read these servers.

        Args:
            refs: of the application.
            others: of any backend of the same load balancers; those that are not there are left out.

        Raises:
            UnreadableReply: a load balancer no longer knows one of `refs`.
        """
        snapshots = await self._read_snapshots(refs, others)
        found = _select_servers(refs, snapshots)
        self.on_read(found.values())
        return found | find_servers(others, snapshots) if others else found

    async def requests(
        self, refs: Collection[ServerRef], show: Callable[[Snapshot], object] | None = None
    ) -> dict[ServerRef, Sample]:
        """Read the request counters of these servers and their backends. Raises as `servers`.

        Args:
            refs: of the application.
            show: is called with each snapshot that was read for it.
        """
        snapshots = await self._read_snapshots(refs)
        if show is not None:
            for snapshot in snapshots:
                show(snapshot)
        return make_samples(_select_servers(refs, snapshots), snapshots)

    async def _read_snapshots(
        self, refs: Collection[ServerRef], others: Collection[ServerRef] = ()
    ) -> list[Snapshot]:
        names = {ref.instance for ref in refs}
        return await _gather_all(self._read_with(name, others) for name in sorted(names))

    async def _read_with(self, name: str, others: Collection[ServerRef]) -> Snapshot:
        """Read the application's backends, and those of the others as far as they are still there."""
        backends = self._list_backends(name, others)
        try:
            return await self.read_current(name, backends)
        except Refused:
            if len(backends) == len(self.backends):
                raise
        return await self.read_current(name, ())

    def _list_backends(self, name: str, refs: Collection[ServerRef]) -> tuple[str, ...]:
        """Return the backends of the application, and those of these servers on this load balancer."""
        own = (ref.backend for ref in refs if ref.instance == name)
        return tuple(dict.fromkeys((*self.backends, *own)))

    async def ensure(
        self, refs: Sequence[ServerRef], build: Build, reached: Callable[[Server], bool]
    ) -> bool:
        """Bring servers to a state: read them, write what is missing, and read them again.

        Args:
            refs: the servers.
            build: builds the command for one of them.
            reached: whether a server has the state.

        Returns:
            Whether anything had to be written.

        Raises:
            Refused: a write was refused, or what was written does not read back.
        """
        before = await self.servers(refs)
        missing = [ref for ref in refs if not reached(before[ref])]
        if not missing:
            return False
        await self._write(missing, build)
        after = await self.servers(missing)
        for ref in missing:
            if not reached(after[ref]):
                raise Refused(
                    ref.instance,
                    f"{build(ref)!r} was accepted, but {ref.backend}/{ref.server}"
                    f" reads {after[ref].admin_state} ({after[ref].status})",
                )
        return True

    async def _write(self, refs: Iterable[ServerRef], build: Build) -> None:
        by_instance: dict[str, list[ServerRef]] = {}
        for ref in refs:
            by_instance.setdefault(ref.instance, []).append(ref)
        await self._refuse_unreached(by_instance)

        async def write(name: str, own: list[ServerRef]) -> None:
            for ref in own:
                try:
                    await self.balancers[name].write(build(ref))
                except UnknownOutcome:
                    continue  # what is read next decides

        await _gather_all(write(name, own) for name, own in by_instance.items())

    async def _refuse_unreached(self, names: Iterable[str]) -> None:
        """Refuse a change that would reach only some of the processes of a HAProxy.

        Raises:
            Refused: with what is missing.
        """
        if all(info.processes == 1 for info in self._infos.values()):
            return
        await _gather_all(self.read(name) for name in self.balancers if name not in self._infos)
        unreached = find_unreached_processes(self._infos.values())
        for name in names:
            if name in unreached:
                raise Refused(name, unreached[name])


def _ignore(_: object) -> None:
    """Do nothing: it is used where nobody needs what was read."""


def _select_servers(refs: Iterable[ServerRef], snapshots: Iterable[Snapshot]) -> dict[ServerRef, Server]:
    found = find_servers(refs, snapshots)
    for ref in refs:
        if ref not in found:
            raise UnreadableReply(ref.instance, f"no longer knows {ref.backend}/{ref.server}")
    return {ref: found[ref] for ref in refs}


def find_servers(refs: Iterable[ServerRef], snapshots: Iterable[Snapshot]) -> dict[ServerRef, Server]:
    """Return those of these servers that exist; no other one is built."""
    wanted = {(ref.instance, ref.backend, ref.server): ref for ref in refs}
    return {
        wanted[key]: snapshot.servers[index]
        for snapshot in snapshots
        for index, name in enumerate(names_of(snapshot.servers))
        if (key := (snapshot.info.instance, *name)) in wanted
    }


def make_samples(
    servers: Mapping[ServerRef, Server], snapshots: Collection[Snapshot]
) -> dict[ServerRef, Sample]:
    """Return the counters of these servers, with those of their backends, from the same snapshots."""
    backends = {
        (snapshot.info.instance, backend.name): backend.counters
        for snapshot in snapshots
        for backend in snapshot.backends
    }
    return {
        ref: Sample(server.counters, backends.get((ref.instance, ref.backend)))
        for ref, server in servers.items()
    }


async def _gather_all(coroutines: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Run in parallel and let ALL of them end: one dead instance must not keep the others from a write."""
    results = await asyncio.gather(*coroutines, return_exceptions=True)
    failures = [result for result in results if isinstance(result, BaseException)]
    for failure in failures:
        if not isinstance(failure, BackendError):
            raise failure
    if failures:
        raise failures[0]
    return [result for result in results if not isinstance(result, BaseException)]


def find_unreached_processes(infos: Iterable[Info]) -> dict[str, str]:
    """Find load balancers where a change would not reach every process that serves their clients.

    With `nbproc`, HAProxy runs several processes side by side, each with server states of its own.

    Processes of one HAProxy are known by the name of their machine. A process that is in the
    configuration twice counts once; of two HAProxy on one machine each process must be there twice.

    Args:
        infos: of all load balancers of an application.

    Returns:
        Why a change would not reach all of them and what helps, by load balancer.
    """
    machines: dict[tuple[str, int], list[Info]] = {}
    for info in infos:
        if info.processes > 1:
            machines.setdefault((info.node, info.processes), []).append(info)
    return {
        info.instance: problem
        for known in machines.values()
        if (problem := _describe_problem(known))
        for info in known
    }


def _describe_problem(known: list[Info]) -> str:
    total = known[0].processes
    numbers = list({info.pid: info.process for info in known}.values())
    copies = max(numbers.count(number) for number in numbers)
    missing = [number for number in range(1, total + 1) if numbers.count(number) < copies]
    if not missing:
        return ""
    listed = ", ".join(map(str, missing[:MAX_LISTED_PROCESSES])) + (
        ", ..." if len(missing) > MAX_LISTED_PROCESSES else ""
    )
    return (
        f"HAProxy runs {total} processes (nbproc) and each has its own server states, but process {listed}"
        f" of {known[0].node or 'this machine'} is not in the configuration: a change would not reach it."
        " Give each process a socket of its own (`stats socket PATH level admin process NUMBER`) and each"
        " socket a table [haproxy.NAME], or use threads (nbthread) instead of nbproc"
    )
