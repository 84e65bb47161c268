"""The configuration of a stack: config.toml for Rolldeck, ssh_config and known_hosts for OpenSSH."""

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from console.demo.consul import find_consul
from console.demo.haproxy import BACKEND
from console.demo.node import Node
from console.demo.sshd import SSHHost

_FILES = """\
[journal]
path = {journal}

[log]
path = {log}

[ssh]
config = {ssh_config}
known_hosts = {known_hosts}
identity = {identity}
"""

_CONFIG = """\
# Written by Rolldeck's demo. Try it from another terminal while the demo runs:
#   rolldeck --config {path} status
{files}
{haproxies}

[apps.{app}]
backends = {backends}

[apps.{app}.access]
transport = "ssh"

{nodes}

[apps.{app}.service]
kind = "command"
start = "./appctl start"
stop = "./appctl stop"
status = "./appctl status"
pid_file = "app.pid"
log_command = "tail -n {{lines}} -F app.log"

[apps.{app}.install]
kind = "symlink"
releases = "releases"
link = "current"

[apps.{app}.health]
kind = "http"
url = "http://{{address}}:{{port}}/health"
json = {{ status = "UP" }}
version_url = "http://{{address}}:{{port}}/version"
version_json = "version"
interval = 0.2

[apps.{app}.rollout]
serial = 1
min_healthy = 1
stop_timeout = 15
start_timeout = 30
verify_timeout = 30
bake_time = 1
trial = 2  # seconds; HAProxy has just started, so nobody knows yet what the nodes can carry
{sessions}"""

DRAIN_TIMEOUT_S = 5  # with websockets: users would have minutes

_PACED = f"""\
drain_timeout = {DRAIN_TIMEOUT_S}
maint_grace_period = 2
on_remaining_sessions = "pace"  # websockets do not end by themselves
"""


_CONSUL = """\
[consul]
address = "{address}"

[lock]
kind = "consul"
"""

_FROM_CONSUL = """\
[apps.{app}.inventory]
kind = "consul"
service = "{app}"
name = "id"
ssh = "meta:ssh"
require_consul_checks = "passing"
maintenance = {maint}

[apps.{app}.load_balancers]
kind = "consul-key"
key = "haproxy"
schemes = {schemes}
"""


def render_rolldeck_config(
    directory: Path,
    sockets: Mapping[str, str],
    nodes: Sequence[Node],
    backends: Sequence[str] = (BACKEND,),
    consul: str = "",
    *,
    paced: bool = False,
) -> str:
    """Return the text of Rolldeck's config.toml.

    Args:
        directory: of the stack.
        sockets: the addresses of the Runtime APIs by instance.
        nodes: of the application.
        backends: that have these nodes as servers.
        consul: address of the agent that has nodes and instances, which the configuration then has not.
        paced: close sessions that do not end by themselves, a few each second.
    """
    known = "\n".join(
        f'{n.name} = {{ address = "{n.address}", port = {n.port}, ssh = "{n.name}" }}' for n in nodes
    )
    haproxies = "\n".join(
        f"[haproxy.{name}]\nsocket = {json.dumps(socket)}" for name, socket in sockets.items()
    )
    schemes = sorted({socket.partition("://")[0] for socket in sockets.values()})
    from_consul = _FROM_CONSUL.format(
        app=BACKEND, maint=json.dumps(_maint_command(consul)), schemes=json.dumps(schemes)
    )
    return _CONFIG.format(
        path=directory / "config.toml",
        files=render_files(directory),
        haproxies=_CONSUL.format(address=consul) if consul else haproxies,
        app=BACKEND,
        backends=json.dumps(list(backends)),
        nodes=from_consul if consul else f"[apps.{BACKEND}.nodes]\n{known}",
        sessions=_PACED if paced else "",
    )


def render_files(directory: Path) -> str:
    """Return the tables of config.toml that name the files of a stack in its directory."""
    return _FILES.format(
        journal=json.dumps(str(directory / "journal.db")),
        log=json.dumps(str(directory / "rolldeck.log")),
        ssh_config=json.dumps(str(directory / "ssh_config")),
        known_hosts=json.dumps(str(directory / "known_hosts")),
        identity=json.dumps(str(directory / "client_key")),
    )


def _maint_command(consul: str) -> str:
    """Return the command that puts an instance into Consul's maintenance mode."""
    return f"{shlex.quote(find_consul() or 'consul')} maint -http-addr={consul}"


def render_known_hosts(hosts: Sequence[SSHHost]) -> str:
    """Return the public keys of the hosts, one line each."""
    return "".join(f"{host.known_host}\n" for host in hosts)


def render_ssh_config(directory: Path, hosts: Sequence[SSHHost]) -> str:
    """Return OpenSSH's client configuration with an alias for every host; ~/.ssh is not used."""
    common = f"""\
Host *
    HostName 127.0.0.1
    User demo
    IdentityFile "{directory}/client_key"
    IdentitiesOnly yes
    IdentityAgent none
    UserKnownHostsFile "{directory}/known_hosts"
    GlobalKnownHostsFile none
    StrictHostKeyChecking yes
"""
    return "".join(f"Host {host.name}\n    Port {host.port}\n" for host in hosts) + common
