"""The stack of the fault matrix: real HAProxies, nodes and sshds, with steps long enough to be hit."""

import asyncio
import contextlib
import shutil
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from console.demo.haproxy import Checks
from console.demo.stack import Stack
from tests.faults.managers import Managed, Manager, managed
from tests.support.rollouts import tune, world
from tests.support.servers.sshd import Sshd, running_sshd

# One beside another fails: whoever goes on must wait for what an earlier rollout has begun.
INSTALL = (
    "mkdir installing && sleep 0.6 && ln -sfn releases/{version} current.new && mv -T current.new current;"
    " done=$?; rmdir installing; exit $done"
)


@dataclass(frozen=True, slots=True)
class Truth:
    """What one load balancer says of one server, read without the code that is tested."""

    admin: int
    weight: int
    status: str

    @property
    def in_rotation(self) -> bool:
        return self.admin == 0 and self.weight > 0 and self.status.startswith("UP")


@dataclass(slots=True)
class Scene:
    """A stack of three nodes and two load balancers with a real sshd for each node."""

    stack: Stack
    sshds: dict[str, Sshd]
    disk: Path  # the journal is on it, and nothing else
    service: Managed
    held: list[socket.socket] = field(default_factory=list)  # connections of clients that stay

    async def truth(self) -> dict[str, dict[str, Truth]]:
        """By load balancer and node; through the TCP port, which no fault takes away."""
        found: dict[str, dict[str, Truth]] = {}
        for name, instance in self.stack.instances.items():
            states = await _rows(instance.admin_port, "show servers state shop", None)
            stat = await _rows(instance.admin_port, "show stat shop 4 -1", ",")
            words = {row["svname"]: row["status"] for row in stat}
            found[name] = {
                row["srv_name"]: Truth(
                    int(row["srv_admin_state"]), int(row["srv_uweight"]), words[row["srv_name"]]
                )
                for row in states
            }
        return found

    def install(self, run: str) -> None:
        """Another command that installs, run in the node's folder."""
        tune(self.stack, "apps.shop.install", run=_in_the_folder(self.stack, run))


@asynccontextmanager
async def scene(place: Path, manager: Manager = "command", patience: float = 1.0) -> AsyncIterator[Scene]:
    """Everything up, in a short directory; the steps take about a second each.

    Args:
        place: the directory.
        manager: looks after the services.
        patience: factor for all time limits.
    """
    checks = Checks(inter=0.1 * patience)  # which is also the limit of each check
    async with world(place, port_check_from="node", nodes=3, start_delay=0.6, checks=checks) as stack:
        disk = place / "disk"
        disk.mkdir()
        with contextlib.ExitStack() as exits:
            sshds = {name: exits.enter_context(_sshd(stack, name)) for name in stack.nodes}
            _use(stack, sshds, patience)
            _slow_down(stack, disk / "journal.db", patience)
            service = exits.enter_context(managed(stack, manager))
            await stack.wait_until_up()
            yield Scene(stack, sshds, disk, service)


@contextlib.contextmanager
def _sshd(stack: Stack, node: str) -> Iterator[Sshd]:
    """In front of the node's own directory, as a login there would be."""
    own = stack.nodes[node].directory
    command = f'ForceCommand cd {own} && exec sh -c "$SSH_ORIGINAL_COMMAND"'
    with running_sshd(stack.directory, alias=node, name=f"sshd-{node}", extra=[command]) as sshd:
        shutil.copy(stack.directory / "client_key.pub", sshd.folder / "authorized_keys")
        yield sshd


def _use(stack: Stack, sshds: dict[str, Sshd], patience: float) -> None:
    """Lead every alias to its sshd; the strict known_hosts has exactly their keys."""
    known = [line for sshd in sshds.values() for line in sshd.known_hosts.read_text().splitlines()]
    (stack.directory / "known_hosts").write_text("\n".join(known) + "\n")
    hosts = "".join(
        f"Host {name}\n    HostName 127.0.0.1\n    Port {sshd.port}\n    User {sshd.user}\n"
        for name, sshd in sshds.items()
    )
    (stack.directory / "ssh_config").write_text(hosts)
    tune(
        stack,
        "ssh",
        connect_timeout=2 * patience,
        login_timeout=2 * patience,
        keepalive_interval=0.4 * patience,
        keepalive_count=2,
    )


def _slow_down(stack: Stack, journal: Path, patience: float) -> None:
    text = stack.config_path.read_text()
    install = 'kind = "symlink"\nreleases = "releases"\nlink = "current"\n'
    assert install in text
    version = f'[apps.shop.version]\nkind = "symlink"\npath = "{stack.directory}/{{node}}/current"\n'
    stack.config_path.write_text(text.replace(install, f'kind = "command"\nrun = "x"\n\n{version}'))
    tune(stack, "apps.shop.install", run=_in_the_folder(stack, INSTALL))
    tune(stack, "journal", path=str(journal))
    tune(
        stack,
        "apps.shop.rollout",
        bake_time=0.8,
        min_healthy=0,
        start_grace=1,
        drain_timeout=3 * patience,
        maint_grace_period=patience,
        stop_timeout=4 * patience,
        install_timeout=4 * patience,
        start_timeout=4 * patience,
        verify_timeout=4 * patience,
        balancer_unreachable_timeout=3 * patience,
        capacity_timeout=2 * patience,
    )
    for name in stack.instances:
        tune(stack, f"haproxy.{name}", timeout=patience)


def _in_the_folder(stack: Stack, run: str) -> str:
    """A prefix may lead elsewhere."""
    return f"cd {stack.directory}/{{node}} && {run}"


async def _rows(port: int, command: str, separator: str | None) -> list[dict[str, str]]:
    """A table of the Runtime API by its own header, which is the line that begins with `#`."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(command.encode() + b"\n")
        lines = (await reader.read()).decode().strip().splitlines()
    finally:
        writer.close()
    head = next(index for index, line in enumerate(lines) if line.startswith("#"))
    names = lines[head].removeprefix("# ").split(separator)
    return [dict(zip(names, line.split(separator), strict=False)) for line in lines[head + 1 :]]
