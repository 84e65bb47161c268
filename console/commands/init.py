"""`rolldeck init`: a first configuration, written from the state of one or several HAProxies."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import click
import msgspec

from backends.errors import ConfigError
from backends.haproxy.address import HaproxySettings
from backends.hosts.ssh_settings import SshSettings
from backends.local_files import write_private
from console.config.first_configuration import (
    BalancerScan,
    describe_findings,
    merge_backends,
    render_configuration,
)
from console.exit_codes import ExitCode
from console.interrupts import interrupts
from console.paths import CONFIG_FILE
from console.terminal.output import clean, result, say
from orchestrator.adapters import AdapterFactory
from orchestrator.planning.findings import why_unchangeable


@click.command()
@click.argument("sockets", metavar="SOCKET...", nargs=-1, required=True)
@click.option(
    "--backend",
    multiple=True,
    metavar="NAME",
    help="Only this backend (repeatable; default: all with two or more servers).",
)
@click.option(
    "--ssh-config",
    metavar="FILE",
    help="How to reach HAProxy and the nodes over SSH (default: ~/.ssh/config).",
)
@click.option(
    "--output",
    default=CONFIG_FILE,
    show_default=True,
    metavar="FILE",
    help="File to write; `-` for standard output.",
)
@click.option("--force", is_flag=True, help="Replace an existing file.")
def init(
    sockets: tuple[str, ...], backend: tuple[str, ...], ssh_config: str | None, output: str, force: bool
) -> int:
    """Write a first configuration, with comments, from the state of one or several HAProxies.

    SOCKET is unix:///run/haproxy/admin.sock, tcp://10.0.0.1:9999 or
    ssh://user@host/run/haproxy/admin.sock. For several HAProxies in active/active mode, give the SOCKET of
    each: every change is then sent to all of them.
    """
    balancers = {f"lb{number}": _parse_socket(socket) for number, socket in enumerate(sockets, 1)}
    if twice := [socket for socket, times in Counter(sockets).items() if times > 1]:
        raise click.BadParameter(f"found {twice[0]!r} twice, expected each once", param_hint="SOCKET")
    ssh = SshSettings(config=_absolute_path(ssh_config)) if ssh_config is not None else SshSettings()
    path = Path(output)
    if output != "-" and os.path.lexists(path) and not force:
        raise _exists_error(output)
    text = interrupts.run(_compose(balancers, ssh, backend, own_ssh=ssh_config is not None))
    if output == "-":
        result(text.rstrip())
        return ExitCode.HEALTHY
    try:
        write_private(path, text.encode(), replace=force)
    except FileExistsError:
        raise _exists_error(output) from None
    except OSError as error:
        raise ConfigError(output, "", f"cannot be written: {error.strerror}") from None
    say(f"wrote {clean(output)}; next: review it, then `rolldeck check`")
    return ExitCode.HEALTHY


def _parse_socket(socket: str) -> HaproxySettings:
    try:
        return msgspec.convert({"socket": socket}, HaproxySettings)
    except msgspec.ValidationError as error:
        problem = str(error).removeprefix("socket: found ")
        raise click.BadParameter(problem, param_hint="SOCKET") from None


def _absolute_path(ssh_config: str) -> str:
    """Return the absolute path, which works from every folder. Raises ConfigError for an unreadable file."""
    path = os.path.abspath(os.path.expanduser(ssh_config))
    try:
        with open(path, "rb"):
            return path
    except OSError as error:
        raise ConfigError(ssh_config, "", f"cannot be read: {error.strerror}") from None


def _exists_error(output: str) -> ConfigError:
    return ConfigError(output, "", "exists already; --force replaces it, --output writes another")


async def _compose(
    balancers: Mapping[str, HaproxySettings], ssh: SshSettings, backends: Sequence[str], *, own_ssh: bool
) -> str:
    adapters = AdapterFactory(ssh, lambda _: None)
    found: dict[str, BalancerScan] = {}
    try:
        for name, settings in balancers.items():
            balancer = adapters.balancer(name, settings)
            snapshot = await balancer.snapshot()
            found[name] = BalancerScan(snapshot, (await balancer.facts()).relative_ports or ())
            if why := why_unchangeable(snapshot.level, snapshot.read_only):
                say(f"! {name}: {clean(why)}" if len(balancers) > 1 else f"! {clean(why)}")
    finally:
        await adapters.close()
    apps = merge_backends(found, backends)
    for line in describe_findings(apps, list(balancers)):
        say(f"! {clean(line)}")
    sockets = {name: settings.socket for name, settings in balancers.items()}
    return render_configuration(sockets, ssh.config if own_ssh else "", apps)
