"""`rolldeck init`: a first configuration, written by looking at a HAProxy."""

import os
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import click
import msgspec

from backends.columns import Name
from backends.errors import ConfigError
from backends.haproxy.address import HaproxySettings
from backends.hosts.ssh import SshSettings
from backends.model import Level, Server, Snapshot
from backends.own_files import write_private
from backends.visible_text import visible_toml
from console.config import FILE, Config
from console.exits import Exit
from console.interrupts import interrupts
from console.output.text import clean, result, say
from console.wiring import Wiring

_BARE = re.compile(r"[A-Za-z0-9_-]+")

HEAD = """\
# Rolldeck's configuration, written by `rolldeck init` from what HAProxy said.
# Look through it, then: rolldeck check APP · rolldeck plan APP VERSION · rolldeck upgrade APP VERSION
# All times are seconds. The config.toml beside Rolldeck's README explains every key.

[haproxy.lb1]
socket = {socket}
# One table for each HAProxy in active/active mode; all of them are written to and read back:
# [haproxy.lb2]
# socket = "ssh://lb2.example.com/run/haproxy/admin.sock"
"""

APP = """
[apps.{key}]
backends = [{backend}]{port}{match}

# Nodes are reached over SSH as ~/.ssh/config says. via = "local" runs commands here;
# sudo = true uses `sudo -n`; prefix = "docker exec -i app1" goes into a container.
[apps.{key}.access]
via = "ssh"

# Left out, the nodes are HAProxy's servers, by their names and addresses there.{ports}{empty}
[apps.{key}.nodes]
{nodes}

# kind: monit | systemd | container | command
[apps.{key}.service]
kind = "monit"
name = {name}

# kind: apt | dnf | symlink | container | command | ansible | none
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
bake = 5                # watch a node so long before going on to the next
"""

_PORTS = """
# Of some of them HAProxy computes the port from the client's, for each connection (a relative port): write
# the application's own as `port` of such a node, or of the application when it is the same for all."""


_MATCH = """
match = "address"       # name resolution fills these servers: a node may stand in another one tomorrow"""

_EMPTY = """
# {count} of HAProxy's servers here are slots that nothing has filled: there is no machine to name."""


@click.command()
@click.argument("socket")
@click.option(
    "--backend", multiple=True, metavar="NAME", help="Only these; default: all with two servers or more."
)
@click.option("--output", default=FILE, show_default=True, metavar="FILE", help="`-` for standard output.")
@click.option("--force", is_flag=True, help="Replace an existing file.")
def init(socket: str, backend: tuple[str, ...], output: str, force: bool) -> int:
    """Look at the HAProxy behind SOCKET and write a commented starting file.

    SOCKET is unix:///run/haproxy/admin.sock, tcp://10.0.0.1:9999 or
    ssh://user@host/run/haproxy/admin.sock.
    """
    try:
        settings = msgspec.convert({"socket": socket}, HaproxySettings)
    except msgspec.ValidationError as error:
        raise click.BadParameter(str(error), param_hint="SOCKET") from None
    path = Path(output)
    if output != "-" and os.path.lexists(path) and not force:
        raise _exists(output)
    text = interrupts.run(_write(socket, settings, backend))
    if output == "-":
        result(text.rstrip())
        return Exit.HEALTHY
    try:
        write_private(path, text.encode(), replace=force)
    except FileExistsError:
        raise _exists(output) from None
    except OSError as error:
        raise ConfigError(output, "", f"cannot be written: {error.strerror}") from None
    say(f"wrote {clean(output)}; next: look through it, then `rolldeck check APP`")
    return Exit.HEALTHY


def _exists(output: str) -> ConfigError:
    return ConfigError(output, "", "exists already; --force replaces it, --output writes another")


async def _write(socket: str, settings: HaproxySettings, backends: Sequence[str]) -> str:
    config = Config(file="", ssh=SshSettings(), haproxy={"lb1": settings}, apps={})
    wiring = Wiring(config, lambda _: None)
    try:
        balancer = wiring.balancer("lb1", settings)
        snapshot = await balancer.snapshot(backends)
        relative = (await balancer.facts()).relative_ports or ()
    finally:
        await wiring.close()
    if snapshot.level is not Level.ADMIN:
        say(f"! the socket has level {snapshot.level.name.lower()}; changing states needs admin")
    chosen = list(_chosen(snapshot, backends))
    if not chosen:
        found = ", ".join(clean(each.name) for each in snapshot.backends) or "none"
        raise ConfigError("", "", f"no backend with two servers or more; there is: {found} (--backend NAME)")
    apps = {name: [_without_relative_port(server, relative) for server in own] for name, own in chosen}
    if computed := [server.ref.server for own in apps.values() for server in own if _computed(server)]:
        say(
            f"! HAProxy computes the port of {', '.join(map(clean, computed))} for each connection;"
            " set `port` of such a node to the application's own"
        )
    return HEAD.format(socket=visible_toml(socket)) + "".join(_app(name, own) for name, own in apps.items())


def _without_relative_port(server: Server, relative: Collection[Name]) -> Server:
    return replace(server, port=0) if (server.ref.backend, server.ref.server) in relative else server


def _chosen(snapshot: Snapshot, wanted: Sequence[str]) -> Iterator[tuple[str, list[Server]]]:
    for backend in snapshot.backends:
        servers = [each for each in snapshot.servers if each.ref.backend == backend.name]
        if wanted or len(servers) > 1:
            yield backend.name, servers


def _app(backend: str, servers: Sequence[Server]) -> str:
    lines, servers = servers, [server for server in servers if not server.empty_slot]
    empty = len(lines) - len(servers)
    ports = [each.port for each in servers]
    port = max(set(ports), key=ports.count, default=0)
    computed = any(_computed(server) for server in servers)
    if ports.count(port) == 1 or computed:
        port = 0  # each has its own, or one has none and must not get that of the others
    return APP.format(
        key=_key(backend),
        backend=visible_toml(backend),
        name=visible_toml(backend.lstrip("_.:-") or "app"),
        port=f"\nport = {port}" if port else "",
        ports=_PORTS if computed else "",
        empty=_EMPTY.format(count=empty) if empty else "",
        match=_MATCH if _slots(lines) else "",
        nodes="\n".join(_node(each, port) for each in servers),
    )


def _slots(servers: Sequence[Server]) -> bool:
    """Whether name resolution fills them from one source, so that a name is not always the same machine."""
    sources = [(each.srv_record or each.host_name, each.srv_record or each.port) for each in servers]
    return any(source and sources.count((source, port)) > 1 for source, port in sources)


def _node(server: Server, port: int) -> str:
    fields = [f"address = {visible_toml(server.address)}"] if server.address else []
    fields += [f"port = {server.port}"] if server.port not in (0, port) else []
    said = f"now {server.admin_state}, {clean(server.status)}"  # with a line break it would end the comment
    if _computed(server):
        said += "; port = ? of the application (HAProxy computes it)"
    return f"{_key(server.ref.server)} = {{ {', '.join(fields)} }}   # {said}"


def _computed(server: Server) -> bool:
    """HAProxy makes its port of the client's, for each connection."""
    return bool(server.address) and not server.port


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else visible_toml(name)
