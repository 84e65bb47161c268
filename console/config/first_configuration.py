"""The text of a first configuration, in which the backends of HAProxies become applications. Pure."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from backends.errors import ConfigError
from backends.haproxy.columns import Name
from backends.model import Server, Snapshot
from backends.text import absent, there_is, visible, visible_toml

_BARE = re.compile(r"[A-Za-z0-9_-]+")

HEAD = """\
# Rolldeck's configuration, written by `rolldeck init` from HAProxy's state.
# Review it, then: rolldeck check · rolldeck plan APP VERSION · rolldeck upgrade APP VERSION
# All times are seconds. The config.toml beside Rolldeck's README explains every key.
"""

SSH = """
# How HAProxy's hosts and the nodes are reached.
[ssh]
config = {config}
"""

SEVERAL = """\
# One table for each HAProxy in active/active mode; all of them are written to and read back:
# [haproxy.lb2]
# socket = "ssh://lb2.example.com/run/haproxy/admin.sock"
"""

APP = """
[apps.{key}]
backends = [{backend}]{haproxy}{port}{match}

# Nodes are reached over SSH as {ssh} says. transport = "local" runs commands here;
# sudo = true uses `sudo -n`; prefix = "docker exec -i app1" goes into a container.
[apps.{key}.access]
transport = "ssh"

# Left out, the nodes are HAProxy's servers, by their names and addresses there.{ports}{empty}
[apps.{key}.nodes]
{nodes}

# kind: monit | systemd | supervisor | container | command
[apps.{key}.service]
kind = "monit"
name = {name}

# kind: apt | dnf | symlink | container | compose | command | ansible | none
[apps.{key}.install]
kind = "apt"
package = {name}

# kind: http | tcp | command
[apps.{key}.health]
kind = "http"
url = "http://{{address}}:{{port}}/health"
# version_url = "http://{{address}}:{{port}}/version"   # proves that the new version is what runs
# version_json = "version"

[apps.{key}.rollout]
serial = 1              # nodes at a time; also "25%" or [1, "25%", "100%"]
min_available = "50%"   # in rotation at any moment, on every HAProxy
drain_timeout = 300     # wait so long for sessions to end
bake_time = 5           # watch a node so long before going on to the next
"""

_PORTS = """
# Of some of them HAProxy computes the port from the client's, for each connection (a relative port): write
# the application's own as `port` of such a node, or of the application when it is the same for all."""

_MATCH = """
match = "address"       # name resolution fills these servers: a node may be in another one tomorrow"""

_EMPTY = """
# {count} of HAProxy's servers here are empty slots, without a machine."""


@dataclass(frozen=True, slots=True)
class BalancerScan:
    """The state of one HAProxy, and the servers whose port it computes for each connection."""

    snapshot: Snapshot
    relative_ports: Collection[Name] = ()


@dataclass(slots=True)
class FirstNode:
    """One machine, with its server lines on all HAProxies.

    Attributes:
        port: 0 where HAProxy computes it.
        computed: HAProxy computes its port from the client's, for each connection.
    """

    name: str
    address: str
    port: int
    computed: bool
    lines: list[Server]

    @property
    def balancers(self) -> list[str]:
        """The HAProxies that have it."""
        return [line.ref.instance for line in self.lines]


@dataclass(slots=True)
class FirstApp:
    """A backend, with the HAProxies that have it.

    Attributes:
        servers: its server lines by HAProxy, empty slots included.
    """

    backend: str
    servers: dict[str, list[Server]] = field(default_factory=dict)
    balancers: list[str] = field(default_factory=list)
    _nodes: dict[str, FirstNode] = field(default_factory=dict)  # by name
    _places: dict[tuple[str, int], FirstNode] = field(default_factory=dict)

    @property
    def nodes(self) -> list[FirstNode]:
        return list(self._nodes.values())

    def add(self, server: Server, *, computed: bool) -> None:
        """Add a server line; its machine is known by address and port, or else by name."""
        name, instance = server.ref.server, server.ref.instance
        self.servers.setdefault(instance, []).append(server)
        if server.empty_slot:
            return
        port = 0 if computed else server.port
        place = (server.address, port) if server.address and port else None
        node = self._places.get(place) if place is not None else None
        namesake = self._nodes.get(name)
        if node is None and namesake is not None and (place is None or not namesake.port):
            node = namesake
        if node is not None and instance not in node.balancers:
            node.lines.append(server)
            return
        if namesake is not None:  # a different machine has this name on another HAProxy
            name = f"{name}-{instance}"
        self._nodes[name] = FirstNode(name, server.address, port, computed, [server])
        if place is not None:
            self._places.setdefault(place, self._nodes[name])


def merge_backends(found: Mapping[str, BalancerScan], wanted: Sequence[str]) -> list[FirstApp]:
    """Merge the backends of all HAProxies by name.

    Args:
        found: by the name of the HAProxy.
        wanted: only these backends; when empty, all with two servers or more.

    Raises:
        ConfigError: there are none.
    """
    apps: dict[str, FirstApp] = {}
    names: dict[str, None] = {}
    for balancer, scan in found.items():
        for backend in scan.snapshot.backends:
            names[backend.name] = None
            if wanted and backend.name not in wanted:
                continue
            app = apps.setdefault(backend.name, FirstApp(backend.name))
            app.balancers.append(balancer)
            for server in scan.snapshot.servers:
                if server.ref.backend == backend.name:
                    relative = (server.ref.backend, server.ref.server) in scan.relative_ports
                    app.add(server, computed=bool(server.address) and (relative or not server.port))
    if missing := [name for name in wanted if name not in names]:
        raise ConfigError("", "--backend", f"no backend {absent(missing, list(names))}")
    chosen = [app for app in apps.values() if wanted or any(len(own) > 1 for own in app.servers.values())]
    if not chosen:
        there = there_is("", list(names))
        raise ConfigError("", "", f"no backend with two servers or more; {there} (--backend NAME)")
    return chosen


def describe_findings(apps: Sequence[FirstApp], balancers: Sequence[str]) -> Iterator[str]:
    """Yield what the reader of the file has to know."""
    if computed := [node.name for app in apps for node in app.nodes if node.computed]:
        yield (
            f"HAProxy computes the port of {', '.join(computed)} for each connection;"
            " set `port` of such a node to the application's own"
        )
    for app in apps:
        for node in app.nodes:
            if lacking := [name for name in app.balancers if name not in node.balancers]:
                yield (
                    f"{app.backend}: {node.name} ({node.address}:{node.port}) is on"
                    f" {', '.join(node.balancers)} and not on {', '.join(lacking)}"
                )
        if len(app.balancers) < len(balancers):
            yield f"{app.backend} is on {', '.join(app.balancers)} alone: written as its `haproxy`"


def render_configuration(sockets: Mapping[str, str], ssh_config: str, apps: Sequence[FirstApp]) -> str:
    """Return the text of the file.

    Args:
        sockets: Runtime API of each HAProxy, by its name.
        ssh_config: the file; empty for ~/.ssh/config.
        apps: see `merge_backends`.
    """
    text = HEAD
    if ssh_config:
        text += SSH.format(config=visible_toml(ssh_config))
    for name, socket in sockets.items():
        text += f"\n[haproxy.{name}]\nsocket = {visible_toml(socket)}\n"
    if len(sockets) == 1:
        text += SEVERAL
    return text + "".join(_render_app(app, list(sockets), ssh_config) for app in apps)


def _render_app(app: FirstApp, balancers: Sequence[str], ssh_config: str) -> str:
    ports = [node.port for node in app.nodes]
    port = max(set(ports), key=ports.count, default=0)
    computed = any(node.computed for node in app.nodes)
    empty = sum(server.empty_slot for own in app.servers.values() for server in own)
    if ports.count(port) == 1 or computed:
        port = 0  # all differ, or one is unknown and must not get that of the others
    own = f"\nhaproxy = [{', '.join(map(visible_toml, app.balancers))}]"
    return APP.format(
        key=_toml_key(app.backend),
        backend=visible_toml(app.backend),
        haproxy=own if len(app.balancers) < len(balancers) else "",
        name=visible_toml(app.backend.lstrip("_.:-") or "app"),
        port=f"\nport = {port}" if port else "",
        ssh="the file above" if ssh_config else "~/.ssh/config",
        ports=_PORTS if computed else "",
        empty=_EMPTY.format(count=empty) if empty else "",
        match=_MATCH if any(map(_has_slots, app.servers.values())) else "",
        nodes="\n".join(_render_node(node, port) for node in app.nodes),
    )


def _has_slots(servers: Sequence[Server]) -> bool:
    """Return whether name resolution fills several servers, so that a name may change its machine."""
    sources = [
        (server.srv_record or server.host_name, server.srv_record or server.port) for server in servers
    ]
    return any(source and sources.count((source, port)) > 1 for source, port in sources)


def _render_node(node: FirstNode, port: int) -> str:
    fields = [f"address = {visible_toml(node.address)}"] if node.address else []
    fields += [f"port = {node.port}"] if node.port not in (0, port) else []
    names = list(dict.fromkeys(line.ref.server for line in node.lines))
    fields += [f"servers = [{', '.join(map(visible_toml, names))}]"] if names != [node.name] else []
    now = dict.fromkeys(f"{line.admin_state}, {line.status}" for line in node.lines)
    comment = f"now {visible(' / '.join(now))}"  # a line break would end the comment
    if node.computed:
        comment += "; port = ? of the application (HAProxy computes it)"
    if not node.address:
        comment += "; address = ? of the machine (HAProxy does not report it, or uses a unix socket)"
    return f"{_toml_key(node.name)} = {{ {', '.join(fields)} }}   # {comment}"


def _toml_key(name: str) -> str:
    return name if _BARE.fullmatch(name) else visible_toml(name)
