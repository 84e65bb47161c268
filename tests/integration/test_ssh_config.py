"""The settings of the ssh configuration that are used, and those that never are."""

import shutil
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backends.command import Command
from backends.errors import HostKeyError, Unreachable
from backends.hosts.ssh import SshHost
from backends.hosts.ssh_route import resolve
from backends.hosts.ssh_settings import Hop, SshSettings
from tests.integration.ssh_logins import refused, run
from tests.integration.test_ssh_login import running_agent
from tests.support.free_ports import free_port
from tests.support.servers.sshd import Sshd, running_sshd

VERBOSE = ("LogLevel DEBUG2", "AcceptEnv *", "AllowAgentForwarding yes", "X11Forwarding yes", "PermitTTY yes")


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Sshd]:
    with running_sshd(tmp_path, extra=VERBOSE) as server:
        yield server


@pytest.fixture
def agent(sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An agent with a key of the operator's."""
    path = tmp_path / "agent"
    with running_agent(path):
        monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
        run("ssh-add", "-q", str(sshd.client_key))
        yield path


def add(sshd: Sshd, *lines: str) -> None:
    """More for the only host of this configuration; what stands there comes first and wins."""
    with sshd.ssh_config.open("a") as stream:
        stream.writelines(f"  {line}\n" for line in lines)


async def said(sshd: Sshd, *argv: str, alias: str = "") -> str:
    host = SshHost("web1", alias or sshd.alias, SshSettings(config=str(sshd.ssh_config)))
    try:
        return (await host.run(Command(argv))).stdout
    finally:
        await host.close()


# What it might hand to a node


@pytest.mark.parametrize("forward", ["yes", "{agent}", "$SSH_AUTH_SOCK"])
async def test_the_agent_stays_here(sshd: Sshd, agent: Path, forward: str) -> None:
    add(sshd, f"ForwardAgent {forward.format(agent=agent)}")
    assert await said(sshd, "sh", "-c", "echo ${SSH_AUTH_SOCK:-none}; ssh-add -l; echo $?") == "none\n2\n"
    assert "auth-agent" not in sshd.log


async def test_the_agent_stays_here_when_there_is_a_jump_host(
    sshd: Sshd, agent: Path, tmp_path: Path
) -> None:
    with running_sshd(tmp_path, alias="inner", name="inner", extra=VERBOSE) as inner:
        add(sshd, "ForwardAgent yes")
        add(inner, "ForwardAgent yes", "ProxyJump node")
        with sshd.ssh_config.open("a") as stream:
            stream.write(inner.ssh_config.read_text())
        assert await said(sshd, "sh", "-c", "echo ${SSH_AUTH_SOCK:-none}", alias="inner") == "none\n"
        assert "Accepted publickey" in sshd.log
        assert "auth-agent" not in sshd.log + inner.log


async def test_no_variables_and_no_kerberos_tickets_are_sent(
    sshd: Sshd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONSUL_HTTP_TOKEN", "5ecret")
    add(sshd, "SendEnv CONSUL_*", "SetEnv ROLE=admin LANG=xx_XX", "GSSAPIDelegateCredentials yes")
    environment = await said(sshd, "env")
    assert "5ecret" not in environment
    assert "ROLE=" not in environment
    assert "xx_XX" not in environment
    options = resolve(Hop(sshd.alias), SshSettings(config=str(sshd.ssh_config))).arguments["options"]
    assert options.config.get("GSSAPIDelegateCredentials") is True  # it was read
    assert options.gss_delegate_creds is False


async def test_no_display_is_lent(sshd: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", ":0")
    add(sshd, "ForwardX11 yes", "ForwardX11Trusted yes")
    assert await said(sshd, "sh", "-c", "echo ${DISPLAY:-none}") == "none\n"
    assert "x11-req" not in sshd.log


async def test_commands_are_ours_and_have_no_terminal(sshd: Sshd) -> None:
    add(sshd, "RequestTTY force", "RemoteCommand echo theirs")
    assert await said(sshd, "sh", "-c", "tty; echo ours") == "not a tty\nours\n"
    assert "pty-req" not in sshd.log


async def test_nothing_is_forwarded_run_or_shared_here(sshd: Sshd, tmp_path: Path) -> None:
    here, there = free_port(), free_port()
    add(
        sshd,
        f"LocalForward 127.0.0.1:{here} 127.0.0.1:{sshd.port}",
        f"RemoteForward 127.0.0.1:{there} 127.0.0.1:{sshd.port}",
        f"DynamicForward 127.0.0.1:{free_port()}",
        "ExitOnForwardFailure yes",
        "Tunnel yes",
        "PermitLocalCommand yes",
        f"LocalCommand touch {tmp_path}/ran",
        f"KnownHostsCommand /usr/bin/touch {tmp_path}/ran",
        "ControlMaster yes",
        f"ControlPath {tmp_path}/master",
        "ControlPersist yes",
    )
    host = SshHost("web1", sshd.alias, SshSettings(config=str(sshd.ssh_config)))
    try:
        await host.run(Command(("true",)))
        for port in (here, there):
            with socket.socket() as probe:
                assert probe.connect_ex(("127.0.0.1", port))
        names = [path.name for path in tmp_path.iterdir()]  # noqa: ASYNC240 - a few files of the test
    finally:
        await host.close()
    assert names == ["sshd"]
    assert "tcpip-forward" not in sshd.log
    assert "tun@openssh" not in sshd.log


@pytest.mark.parametrize(
    "line", ["StrictHostKeyChecking no", "VerifyHostKeyDNS yes", "NoHostAuthenticationForLocalhost yes"]
)
async def test_an_unknown_host_key_is_refused_whatever_it_says(sshd: Sshd, line: str) -> None:
    sshd.known_hosts.write_text("")
    add(sshd, line)
    host = SshHost("web1", sshd.alias, SshSettings(config=str(sshd.ssh_config)))
    assert "is not known" in await refused(host, HostKeyError)


# What it decides on


async def test_included_files_and_conditions(sshd: Sshd, tmp_path: Path) -> None:
    text = sshd.ssh_config.read_text()
    (tmp_path / "more").write_text(
        text.replace("Host node", f'Match originalhost node exec "test -d {tmp_path}"')
    )
    sshd.ssh_config.write_text(f"Include {tmp_path}/mo*\n")
    assert await said(sshd, "echo", "in") == "in\n"


RELAY = """
import os, socket, sys, threading
open(__file__ + ".words", "w").write(" ".join(sys.argv[1:]))
far = socket.create_connection(sys.argv[2:4])
def pump(read, write):
    while data := read(65536):
        write(data)
    os._exit(0)
threading.Thread(target=pump, args=(lambda size: os.read(0, size), far.sendall), daemon=True).start()
pump(far.recv, lambda data: os.write(1, data))
"""  # what `nc HOST PORT` does, which not every machine has


async def test_a_proxy_command_gets_its_tokens_and_variables(
    sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variables are the console's; the command is the operator's own, so it may have secrets."""
    relay = tmp_path / "relay"
    relay.write_text(f"#!{sys.executable}\n{RELAY}")
    relay.chmod(0o755)
    monkeypatch.setenv("RELAY_TOKEN", "5ecret")
    add(sshd, f"ProxyCommand {relay} ${{RELAY_TOKEN}} %h %p %r %n")
    assert await said(sshd, "echo", "in") == "in\n"
    words = (tmp_path / "relay.words").read_text().split()
    assert words == ["5ecret", "127.0.0.1", str(sshd.port), sshd.user, sshd.alias]


def test_a_name_that_a_name_server_calls_a_host_is_not_taken(
    sshd: Sshd, monkeypatch: pytest.MonkeyPatch
) -> None:
    def resolve_here(host: str, *arguments: Any, **more: Any) -> Any:
        found = ask("127.0.0.1", *arguments, **more)
        if host != "node.example.test":
            return found
        family, kind, protocol, _, address = found[0]
        return [(family, kind, protocol, "elsewhere.example.org", address)]  # a CNAME

    ask = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", resolve_here)
    sshd.ssh_config.write_text(
        "CanonicalizeHostname yes\nCanonicalDomains example.test\n"
        "CanonicalizePermittedCNAMEs *.example.test:*.example.org\n"
        "Match canonical host node.example.test\n  Port 2201\n"
        "Match canonical host elsewhere.example.org\n  Port 2202\n"
    )
    route = resolve(Hop("node"), SshSettings(config=str(sshd.ssh_config)))
    assert (route.host, route.port) == ("node.example.test", 2201)


async def test_the_name_that_known_hosts_has(sshd: Sshd) -> None:
    known = sshd.known_hosts.read_text().replace(f"[127.0.0.1]:{sshd.port}", "fleet")
    sshd.known_hosts.write_text(known)
    add(sshd, "HostKeyAlias fleet")
    assert await said(sshd, "echo", "in") == "in\n"


async def test_a_key_of_another_name_will_not_do_for_the_alias(sshd: Sshd) -> None:
    add(sshd, "HostKeyAlias fleet")
    host = SshHost("web1", sshd.alias, SshSettings(config=str(sshd.ssh_config)))
    assert (await refused(host, HostKeyError)).startswith("the host key of fleet is not known: ")


async def test_a_key_of_the_address_will_not_do_for_the_name(sshd: Sshd) -> None:
    """Whoever has an address that is known, and can lie to the name server, would be any host."""
    text = sshd.ssh_config.read_text()
    sshd.ssh_config.write_text(text.replace("HostName 127.0.0.1", "HostName localhost"))
    add(sshd, "AddressFamily inet")
    host = SshHost("web1", sshd.alias, SshSettings(config=str(sshd.ssh_config)))
    named = f"the host key of [localhost]:{sshd.port} is not known: "
    assert (await refused(host, HostKeyError)).startswith(named)
    known = sshd.known_hosts.read_text()
    sshd.known_hosts.write_text(known.replace("[127.0.0.1]", "[localhost]"))
    assert await said(sshd, "echo", "in") == "in\n"
    sshd.known_hosts.write_text(
        known.replace("[127.0.0.1]", "[localhost]") + "@revoked " + known.splitlines()[1]
    )
    assert "is revoked" in await refused(host, HostKeyError)


async def test_the_known_hosts_of_everybody(sshd: Sshd, tmp_path: Path) -> None:
    shutil.move(sshd.known_hosts, tmp_path / "global")
    add(sshd, f"GlobalKnownHostsFile {tmp_path}/none {tmp_path}/global")
    assert await said(sshd, "echo", "in") == "in\n"


async def test_which_agent_is_asked(sshd: Sshd, agent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK")
    text = sshd.ssh_config.read_text().replace(
        f"  IdentityFile {sshd.client_key}\n  IdentitiesOnly yes\n", ""
    )
    sshd.ssh_config.write_text(text + f"  IdentityAgent {agent}\n")
    assert await said(sshd, "echo", "in") == "in\n"


async def test_certificates_of_the_operator(sshd: Sshd, tmp_path: Path) -> None:
    authority = tmp_path / "authority"
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(authority))
    run("ssh-keygen", "-q", "-s", str(authority), "-I", "me", "-n", sshd.user, f"{sshd.client_key}.pub")
    public = authority.with_suffix(".pub").read_text()
    (sshd.folder / "authorized_keys").write_text(f"cert-authority {public}")
    add(sshd, f"CertificateFile {sshd.client_key}-cert.pub")
    assert await said(sshd, "echo", "in") == "in\n"


async def test_algorithms(sshd: Sshd) -> None:
    add(sshd, "Ciphers aes128-ctr", "MACs hmac-sha2-256", "KexAlgorithms ecdh-sha2-nistp256")
    assert await said(sshd, "echo", "in") == "in\n"
    assert "cipher: aes128-ctr MAC: hmac-sha2-256" in sshd.log
    assert "kex: algorithm: ecdh-sha2-nistp256" in sshd.log


async def test_the_address_that_it_comes_from(sshd: Sshd) -> None:
    add(sshd, "BindAddress 127.0.0.9", "AddressFamily inet")
    assert await said(sshd, "sh", "-c", "echo ${SSH_CONNECTION%% *}") == "127.0.0.9\n"


@pytest.mark.parametrize(
    "line",
    [
        "HostKeyAlgorithms ecdsa-sha2-nistp256",
        "PubkeyAcceptedAlgorithms ecdsa-sha2-nistp256",
        "RequiredRSASize 16384",
        "ConnectTimeout 0",
        "ServerAliveInterval 0",
        "CheckHostIP yes",
    ],
)
async def test_what_is_passed_over(sshd: Sshd, line: str) -> None:
    add(sshd, line)
    assert await said(sshd, "echo", "in") == "in\n"


async def test_times_are_those_of_our_own_settings(sshd: Sshd) -> None:
    add(sshd, "ConnectTimeout 1", "ServerAliveInterval 77", "ServerAliveCountMax 88")
    settings = SshSettings(config=str(sshd.ssh_config))
    options = resolve(Hop(sshd.alias), settings).arguments["options"]
    assert options.connect_timeout is None
    assert (options.keepalive_interval, options.keepalive_count_max) == (2.0, 2)


async def test_a_user_of_the_configuration_may_have_other_characters(sshd: Sshd) -> None:
    text = sshd.ssh_config.read_text().replace(f"User {sshd.user}", 'User "DOMAIN\\user@realm"')
    sshd.ssh_config.write_text(text)
    host = SshHost("web1", sshd.alias, SshSettings(config=str(sshd.ssh_config)))
    assert r"no key was accepted for user DOMAIN\user@realm" in await refused(host)


async def test_passwords_are_never_tried(sshd: Sshd) -> None:
    (sshd.folder / "authorized_keys").write_text("")
    add(sshd, "PasswordAuthentication yes", "KbdInteractiveAuthentication yes", "BatchMode no")
    host = SshHost("web1", sshd.alias, SshSettings(config=str(sshd.ssh_config)))
    with pytest.raises(Unreachable, match="no key was accepted"):
        await host.connect()
