"""What `rolldeck status` knows beside HAProxy: rollouts, versions, and who keeps a node out."""

import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from backends.consul.client import Consul
from backends.errors import BackendError, ConfigError
from backends.model import Server, ServerRef, Snapshot
from console.completing import completed
from console.config.schema import Config
from console.node_versions import node_versions
from console.paths import journal_path
from console.wiring import Wiring
from orchestrator.journal.adoption import find
from orchestrator.journal.hand_changes import HandChange, hand_changes
from orchestrator.journal.known_versions import known_versions
from orchestrator.journal.leftovers import Leftover, leftovers, unfinished_originals, unread
from orchestrator.journal.rollout_status import Identity, RolloutStatus, rollout_status, status_of
from orchestrator.journal.store import Journal
from orchestrator.locks.file import FileLock, Holder
from orchestrator.out_followers import find_out_followers
from orchestrator.outcome import since as out_since
from orchestrator.outcome import weight_words
from orchestrator.owner import owners
from orchestrator.remote.subscriber import RolloutSubscriber
from orchestrator.session.node_versions import Disks, NodeVersion
from orchestrator.slots import filled

Snapshots = Mapping[str, Snapshot | BackendError]


@dataclass(frozen=True, slots=True)
class KeptOut:
    """A server that somebody has taken out of rotation.

    Attributes:
        by: "rollout", "hand" (with `rolldeck`), "others", or "haproxy": its configuration or name resolution.
        who: the operator, or which rollout, as far as that is known.
        words: what HAProxy says of it.
        since: seconds since 1970; 0 where HAProxy does not know, as of a weight.
        by_agent: its agent check may have done it: HAProxy does not tell that from an operator.
    """

    backend: str
    server: str
    by: Literal["rollout", "hand", "others", "haproxy"]
    who: str
    words: str
    since: float
    where: tuple[str, ...]
    by_agent: bool = False


@dataclass(slots=True)
class WholeStatus:
    """Of one application.

    Attributes:
        problems: what could not be seen, in words.
        holder: of the lock, when nobody knows what they do with it.
    """

    rollouts: list[RolloutStatus] = field(default_factory=list)
    holder: Holder | None = None
    left: list[Leftover] = field(default_factory=list)
    versions: list[NodeVersion] = field(default_factory=list)
    kept_out: list[KeptOut] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    published: dict[ServerRef, str] = field(default_factory=dict)  # servers out by other machines' rollouts

    @property
    def unfinished(self) -> bool:
        """Whether a rollout has changed something and was not finished."""
        return any(rollout.standing == "unfinished" and rollout.touched for rollout in self.rollouts)


async def whole_status(
    config: Config, app: str, consul: Consul | None, wiring: Wiring, seen: Snapshots, disks: Disks
) -> WholeStatus:
    """Read the journal, the lock, Consul and the versions that nodes have.

    Args:
        config: of all applications.
        app: which one.
        consul: where there is one.
        wiring: builds the adapters of nodes; closed by whoever has made it.
        seen: the load balancers as they are.
        disks: reads versions on disk, for all applications.

    Raises:
        JournalError: the journal cannot be read.
    """
    status = WholeStatus()
    servers = [server for each in seen.values() if isinstance(each, Snapshot) for server in each.servers]
    path = journal_path(config.journal.path)
    with Journal(path, read_only=True) as journal:
        own = rollout_status(journal, app)
        known = known_versions(journal, app)
        left = leftovers(journal, app)
        hands = hand_changes(journal, app)
        status.problems += unread(journal, app)
        if own is not None and (own.touched or own.standing == "running"):
            status.rollouts.append(own)
        if consul is not None and config.lock.kind == "consul":
            await _see_others(config, app, consul, journal, status)
    running = {rollout.entry for rollout in status.rollouts if rollout.standing == "running"}
    out = {server.ref for server in servers if not server.in_rotation}
    status.left = [
        each for each in left.values() if out & each.originals.keys() and each.entry.id not in running
    ]
    if not running:
        status.holder = await FileLock.of(path.parent / "locks", app).holder()
    status.versions = await node_versions(config, app, consul, wiring, servers, known, disks)
    ours = {ref: f"rollout {each.entry.id}" for each in left.values() for ref in each.originals}
    status.kept_out = _kept_out(servers, status.published | ours, hands)
    followers, errors = await find_out_followers(wiring.balancers(app), out, beside=config.app(app).backends)
    status.kept_out += _out_with_ours(followers)
    status.problems += [
        f"servers that follow those of {app} elsewhere cannot be seen: {error}" for error in errors
    ]
    return status


async def without_empty_slots(
    config: Config, app: str, consul: Consul | None, seen: Snapshots
) -> dict[str, Snapshot | BackendError]:
    """What load balancers say, without slots that nothing has filled; those that a node has by name count."""
    snapshots = {instance: one for instance, one in seen.items() if isinstance(one, Snapshot)}
    servers = [server for snapshot in snapshots.values() for server in snapshot.servers]
    empty = [(server.ref.backend, server.ref.server) for server in servers if server.empty_slot]
    if not empty:
        return dict(seen)
    named: set[str] = set()
    with contextlib.suppress(BackendError, ConfigError):  # whoever works on it is told
        settings = (await completed(config, app, consul)).app(app)
        if settings.match == "name":
            nodes = settings.nodes.items()
            named = {line for name, node in nodes for line in (node.servers or (name,))}
    kept = {(backend, name) for backend, name in empty if {name, f"{backend}/{name}"} & named}
    return {**seen} | {
        instance: replace(snapshot, servers=filled(snapshot.servers, kept))
        for instance, snapshot in snapshots.items()
    }


async def _see_others(
    config: Config, app: str, consul: Consul, journal: Journal, status: WholeStatus
) -> None:
    """What another machine has published, unless it is ours."""
    try:
        if config.consul is None:
            return
        following = RolloutSubscriber(consul, config.consul.prefix, app, await config.consul.signer(app))
        seen = await following.look()
    except (BackendError, ConfigError) as error:
        status.problems.append(f"rollouts of other machines: {error}")
        return
    if seen is None or seen.healthy:
        return
    if seen.doubt:
        status.problems.append(f"rollouts of other machines: key {following.key} is ignored: {seen.doubt}")
        return
    if find(journal, seen.head, seen.records) is not None:
        return
    head = seen.head
    running = seen.held and seen.ended is None
    why = f"{seen.ended.result}: {seen.ended.reason}" if seen.ended else "it has no end, and nobody its lock"
    identity = Identity(app, head.kind, head.version, head.operator, head.host, head.pid, head.began)
    found = replace(status_of(identity, seen.records, why, running=running), source="consul")
    if running or found.touched:
        status.rollouts.append(found)
        for originals in unfinished_originals(seen.records).values():
            status.published |= dict.fromkeys(originals, f"the rollout of {head.operator}")


def _kept_out(
    servers: Sequence[Server], rollouts: Mapping[ServerRef, str], hands: Mapping[str, HandChange]
) -> list[KeptOut]:
    """The servers that somebody has decided about, by backend and name; checks that fail are nobody's."""
    groups: dict[tuple[str, str], list[Server]] = {}
    for server in servers:
        if any(owner.now and owner.who not in ("nobody", "agent") for owner in owners(server)):
            groups.setdefault((server.ref.backend, server.ref.server), []).append(server)
    now = time.time()
    return [_reason(backend, name, own, rollouts, hands, now) for (backend, name), own in groups.items()]


def _out_with_ours(followers: Sequence[Server]) -> list[KeptOut]:
    """Servers of other backends that are out because they follow one of ours, by backend and name."""
    groups: dict[tuple[str, str], list[Server]] = {}
    for server in followers:
        groups.setdefault((server.ref.backend, server.ref.server), []).append(server)
    now = time.time()
    return [
        KeptOut(
            backend,
            name,
            "haproxy",
            "",
            "; ".join(dict.fromkeys(f"it follows {server.tracks}" for server in own)),
            round(now - min(server.last_change for server in own)),
            tuple(f"{server.ref.instance}: {server.status}" for server in own),
        )
        for (backend, name), own in groups.items()
    ]


def _reason(
    backend: str,
    name: str,
    servers: Sequence[Server],
    rollouts: Mapping[ServerRef, str],
    hands: Mapping[str, HandChange],
    now: float,
) -> KeptOut:
    rollout = next((rollouts[server.ref] for server in servers if server.ref in rollouts), None)
    deciding = [owner for server in servers for owner in owners(server) if owner.now]
    since = out_since(servers, now)
    where = tuple(f"{server.ref.instance}: {server.admin_state}{weight_words(server)}" for server in servers)
    words = "; ".join(dict.fromkeys(owner.words for owner in deciding))
    by: Literal["rollout", "hand", "others", "haproxy"] = "others"
    who = ""
    if rollout is not None:
        by, who = "rollout", rollout
    elif name in hands:
        by, who, since = "hand", hands[name].operator, hands[name].at
    elif all(owner.who in ("configuration", "resolution", "tracked") for owner in deciding):
        by = "haproxy"
    by_agent = any(owner.who == "operator or agent" for owner in deciding)
    return KeptOut(backend, name, by, who, words, round(since), where, by_agent)
