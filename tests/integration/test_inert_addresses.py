"""Untrusted addresses never become a command, an option or a variable of ssh's ProxyCommand."""

import asyncio
import ipaddress
import json
import os
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from backends.errors import Unreachable
from backends.haproxy.address import SshAddress, parse_address
from backends.hosts.ssh import SshHost
from backends.hosts.ssh_route import resolve
from backends.hosts.ssh_settings import Hop, SshSettings
from backends.untrusted import NotInert
from tests.integration.ssh_logins import enter
from tests.support.rollouts import ROLLDECK
from tests.support.servers.consul import needs_consul, running_consul
from tests.support.servers.sshd import Sshd, running_sshd
from tests.support.servers.tcp_listener import listening

SECRET = "5ecret-0f-c0nsul"

# As AWS documents it for its Session Manager; `ssh -W` is what OpenSSH documents; and `nc`, which leaves
# its arguments in a file here instead of asking a name server for them.
ATTACKS = [
    pytest.param('sh -c "true --target %h --port %p"', "$(touch ran)", id="command"),
    pytest.param("ssh -W %h:%p bastion.invalid", "[v1.x:1 -oProxyCommand=touch$IFS.ran]", id="option"),
    pytest.param("{nc} %h %p", "${CONSUL_HTTP_TOKEN}.x", id="variable"),
]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home folder in which a ProxyCommand leaves a trace when it runs."""
    folder = tmp_path / "home"
    (folder / ".ssh").mkdir(parents=True)
    (folder / "nc").write_text(f'#!/bin/sh\necho "$@" >> {folder}/ran\n')
    (folder / "nc").chmod(0o755)
    return folder


def configure(home: Path, proxy: str) -> None:
    command = proxy.replace("{nc}", str(home / "nc"))
    (home / ".ssh" / "config").write_text(f"Host *\n  ProxyCommand {command}\n")


FROM_CONSUL = """
[consul]
address = "{address}"
[apps.shop]
backends = ["shop"]
service = {{ kind = "monit", name = "shop" }}
load_balancers = {{ kind = "consul-key", key = "haproxy" }}
"""


def status(home: Path, text: str) -> subprocess.CompletedProcess[str]:
    (home / "config.toml").write_text(text)
    return rolldeck(home, "--config", str(home / "config.toml"), "status")


def rolldeck(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "HOME": str(home),
        "XDG_STATE_HOME": str(home),
        "CONSUL_HTTP_TOKEN": SECRET,
    }
    return subprocess.run(
        [ROLLDECK, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=environment,
        cwd=home,
    )


def ran(home: Path) -> list[str]:
    """The traces."""
    return sorted(path.name for path in home.iterdir() if "ran" in path.name)


@needs_consul
@pytest.mark.parametrize(("proxy", "host"), ATTACKS)
async def test_a_key_in_consul_runs_nothing(home: Path, proxy: str, host: str) -> None:
    configure(home, proxy)
    async with running_consul(home.parent) as agent:
        value = json.dumps({"lb1": f"ssh://{host}/run/h.sock"})
        await agent.ask("PUT", "/v1/kv/haproxy", value)
        done = status(home, FROM_CONSUL.format(address=agent.address))
    assert ran(home) == []
    assert (done.returncode, done.stdout) == (2, "")
    assert "key haproxy in Consul" in done.stderr
    assert SECRET not in done.stderr


@pytest.mark.parametrize(("proxy", "host"), ATTACKS)
def test_a_socket_of_the_configuration_runs_nothing(home: Path, proxy: str, host: str) -> None:
    configure(home, proxy)
    done = status(
        home,
        f"""
[haproxy.lb1]
socket = "ssh://{host}/run/h.sock"
[apps.shop]
backends = ["shop"]
service = {{ kind = "monit", name = "shop" }}
""",
    )
    assert ran(home) == []
    assert (done.returncode, done.stdout) == (2, "")
    assert "haproxy.lb1" in done.stderr


@pytest.mark.parametrize(("proxy", "host"), ATTACKS)
def test_init_runs_nothing(home: Path, proxy: str, host: str) -> None:
    configure(home, proxy)
    done = rolldeck(home, "init", f"ssh://{host}/run/h.sock")
    assert ran(home) == []
    assert (done.returncode, done.stdout) == (2, "")
    assert "SOCKET" in done.stderr
    assert not (home / "config.toml").exists()


@needs_consul
@pytest.mark.parametrize(
    ("value", "scheme"), [("unix://{home}/docker.sock", "unix"), ("tcp://127.0.0.1:{port}", "tcp")]
)
async def test_a_key_in_consul_connects_to_nothing_that_the_configuration_does_not_allow(
    home: Path, value: str, scheme: str
) -> None:
    met = []

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        met.append(await reader.read(100))
        writer.close()

    docker = await asyncio.start_unix_server(meet, home / "docker.sock")
    async with listening(meet) as port, docker, running_consul(home.parent) as agent:
        address = value.format(home=home, port=port)
        await agent.ask("PUT", "/v1/kv/haproxy", json.dumps({"lb1": address}))
        text = FROM_CONSUL.format(address=agent.address)
        done = await asyncio.to_thread(status, home, text)
        assert met == []
        assert done.returncode == 2
        assert (
            f"key haproxy in Consul: host of lb1: found '{address}', a whole address with scheme '{scheme}',"
        ) in done.stderr
        assert f'schemes = ["{scheme}"] in [apps.shop.load_balancers]' in done.stderr
        permitted = text.replace('key = "haproxy"', f'key = "haproxy", schemes = ["{scheme}"]')
        await asyncio.to_thread(status, home, permitted)
        assert met  # it would have been


@needs_consul
async def test_a_port_in_consul_that_is_none_is_an_error_and_no_traceback(home: Path) -> None:
    async with running_consul(home.parent) as agent:
        await agent.ask("PUT", "/v1/kv/haproxy", "lb1")
        node = {
            "Node": "n1",
            "Address": "127.0.0.1",
            "Service": {"Service": "shop", "ID": "i1", "Port": 70_000},
        }
        await agent.ask("PUT", "/v1/catalog/register", node)
        inventory = (
            'inventory = { kind = "consul", service = "shop" }\nversion.kind = "command"\nversion.run = "id"'
        )
        (home / "config.toml").write_text(FROM_CONSUL.format(address=agent.address) + inventory)
        done = rolldeck(home, "--config", str(home / "config.toml"), "check", "shop")
    assert done.returncode == 2
    assert "inventory: port of i1: port 70000 cannot be used: expected 1 to 65535" in done.stderr


# Where the way to a host is found, whoever has let the address through


@pytest.mark.parametrize("host", [*(str(attack.values[1]) for attack in ATTACKS), "-x", "%h", ""])
@pytest.mark.parametrize("command", ["sh -c 'echo %h %p %r %n > {home}/ran'", "{home}/nc %h %p %r %n"])
async def test_a_host_is_checked_before_any_command_is_made_of_it(
    home: Path, host: str, command: str
) -> None:
    (home / "ssh_config").write_text(f"Host *\n  ProxyCommand {command.format(home=home)}\n")
    target = SshHost("web1", host, SshSettings(config=str(home / "ssh_config")))
    with pytest.raises(Unreachable, match=r"^web1: nothing was sent: .* cannot be used: expected letters"):
        await target.connect()
    assert ran(home) == []


@pytest.mark.parametrize(
    ("hop", "lines"),
    [
        (Hop("node", "$(id)"), ""),
        (Hop("node", "", 99_999), ""),
        (Hop("node"), "HostName $(id)"),
        (Hop("node"), "HostName -oProxyCommand=id"),
        (Hop("node"), "HostName a%%h/b"),
        (Hop("node"), "Port 99999"),
        (Hop("node"), "Match final\n HostName $(id)"),
    ],
)
def test_what_the_configuration_makes_of_a_host_is_checked_too(tmp_path: Path, hop: Hop, lines: str) -> None:
    (tmp_path / "ssh_config").write_text(f"Host node\n {lines or 'Port 22'}\n")
    with pytest.raises(NotInert, match="cannot be used"):
        resolve(hop, SshSettings(config=f"{tmp_path}/ssh_config"))


@pytest.mark.parametrize("host", ["x%dx", "fe80::1%d0"])
def test_no_variable_of_the_configuration_is_read_in_a_host(tmp_path: Path, host: str) -> None:
    """asyncssh replaces those of an included file twice, the second time in what it has put there."""
    (tmp_path / "included").write_text("Host *\n  ProxyCommand nc %h %p\n")
    (tmp_path / "ssh_config").write_text(f"Include {tmp_path}/included\n")
    with pytest.raises(NotInert, match=rf"'{host}' cannot be used: .* in an included file"):
        resolve(Hop(host), SshSettings(config=f"{tmp_path}/ssh_config"))
    route = resolve(Hop(host), SshSettings(config=f"{tmp_path}/included"))
    assert route.arguments["options"].proxy_command == ["nc", host, "22"]


@pytest.mark.parametrize("jump", ["$(touch${IFS}ran)", "me@-x", "%h", "'$(id)@h'"])
async def test_jumps_are_checked_as_well(home: Path, jump: str) -> None:
    (home / "ssh_config").write_text(
        f"Host node\n  ProxyJump {jump}\nHost *\n  ProxyCommand sh -c 'echo %h %r > {home}/ran'\n"
    )
    with pytest.raises(Unreachable, match=r"^web1: nothing was sent: .* cannot be used"):
        await SshHost("web1", "node", SshSettings(config=str(home / "ssh_config"))).connect()
    assert ran(home) == []


async def test_aliases_go_through_a_proxy_command_as_before(sshd: Sshd, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    config = sshd.ssh_config
    tell = f"echo %h %p %r %n > {trace}; exec ssh -F {config} -W %h:%p node"
    text = config.read_text()
    inner = text.replace("Host node", "Host In-ner_1") + f'  ProxyCommand sh -c "{tell}"\n'
    config.write_text(text + inner)
    assert await enter(SshHost("web1", "In-ner_1", SshSettings(config=str(config)))) == "in\n"
    assert trace.read_text() == f"127.0.0.1 {sshd.port} {sshd.user} In-ner_1\n"


def loopback_and_link_local() -> list[str]:
    """The addresses of this machine of these kinds, the latter with its zone."""
    try:
        lines = Path("/proc/net/if_inet6").read_text().splitlines()
    except OSError:
        return []
    kinds = {"10": "{}", "20": "{}%{}"}
    found = [line.split() for line in lines]
    return [
        kinds[scope].format(ipaddress.IPv6Address(int(digits, 16)), interface)
        for digits, _, _, scope, _, interface in found
        if scope in kinds
    ]


@pytest.mark.parametrize("address", loopback_and_link_local())
async def test_ipv6_with_and_without_a_zone(tmp_path: Path, address: str) -> None:
    with running_sshd(tmp_path, extra=[f"ListenAddress {address}"]) as sshd:
        host_key = sshd.host_key.with_suffix(".pub").read_text()
        sshd.known_hosts.write_text(f"[{address}]:{sshd.port} {host_key}")
        parsed = parse_address(f"ssh://[{address}]:{sshd.port}/s")
        assert isinstance(parsed, SshAddress)
        settings = SshSettings(
            config="",
            user=sshd.user,
            port=parsed.port,
            identity=str(sshd.client_key),
            known_hosts=str(sshd.known_hosts),
        )
        assert await enter(SshHost("web1", parsed.host, settings)) == "in\n"


async def test_a_name_is_made_canonical_before_it_is_checked(
    sshd: Sshd, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def resolve_here(host: str, *arguments: Any, **more: Any) -> Any:
        asked.append(host)
        if host == "node.example.invalid":
            raise socket.gaierror(socket.EAI_NONAME, "not known")
        return ask("127.0.0.1" if host == "node.example.test" else host, *arguments, **more)

    ask = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", resolve_here)
    config = sshd.ssh_config
    alias = config.read_text().replace("Host node", "Match canonical host *.example.test")
    top = "CanonicalizeHostname yes\nCanonicalDomains example.invalid example.test\n"
    config.write_text(f"{top}{alias}Match final\n  HostKeyAlgorithms ssh-ed25519\n")
    assert await enter(SshHost("web1", "node", SshSettings(config=str(config)))) == "in\n"
    names = [name for name in asked if name != "127.0.0.1"]
    assert names == ["node.example.invalid", "node.example.test"]  # once each


async def test_a_name_that_is_in_no_domain(tmp_path: Path) -> None:
    config = tmp_path / "ssh_config"
    config.write_text(
        "CanonicalizeHostname yes\nCanonicalDomains example.invalid\nCanonicalizeFallbackLocal no\n"
    )
    with pytest.raises(Unreachable, match="node is in none of CanonicalDomains"):
        await SshHost("web1", "node", SshSettings(config=str(config))).connect()
