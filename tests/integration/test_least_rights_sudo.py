"""The sudo rules of docs/least-rights.md with a real sudo, sshd and unprivileged user: enough, no more."""

import os
import shutil
import subprocess
import tomllib
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from backends.command import Command
from backends.errors import PermissionDenied, RolldeckError
from backends.hosts.execution import rehearsing
from backends.hosts.ssh import SshHost
from backends.hosts.ssh_settings import SshSettings
from backends.installers.command import SymlinkInstall
from backends.installers.versions import CommandVersion, SymlinkVersion, VersionSettings
from backends.kinds import InstallSettings, make_installer
from backends.node_state import Activity, Presence
from backends.services.monit import MonitService, MonitSettings
from backends.services.systemd import SystemdService, SystemdSettings
from tests.support.guide import block, blocks
from tests.support.login_user import NUMBER, machine_with_sudo, needs_sudo, open_folder
from tests.support.servers.deb_repository import DebRepository, call_there, missing
from tests.support.servers.monit import needs_monit, running_monit
from tests.support.wait import until

pytestmark = needs_sudo

REFUSED = "a password is required"


@pytest.fixture
def place() -> Iterator[Path]:
    with open_folder() as folder:
        yield folder


@asynccontextmanager
async def logged_in(place: Path, sudoers: str, prefix: str = "") -> AsyncIterator[SshHost]:
    """The user's commands there, as Rolldeck sends them with `sudo = false`."""
    with machine_with_sudo(place, sudoers) as sshd:
        host = SshHost("web1", sshd.alias, SshSettings(config=str(sshd.ssh_config)), prefix=prefix)
        try:
            assert (await host.run(Command(("id", "-u")))).stdout == f"{NUMBER}\n"
            yield host
        finally:
            await host.close()


def settings(table: str, kind: str) -> dict[str, Any]:
    """What the guide has in this table for this kind, which it names in its command."""
    [text] = [text for text in blocks("toml") if f"sudo -n {kind}" in text]
    found: dict[str, Any] = tomllib.loads(text)["apps"]["shop"][table]
    return found


async def refuses(host: SshHost, line: str) -> None:
    result = await host.run(Command.shell(line))
    assert result.exit_status == 1, result
    assert REFUSED in result.stderr


@needs_monit
async def test_monit(place: Path) -> None:
    with running_monit(place):
        options = f"-c {place}/monitrc"
        own = settings("service", "monit")
        own["command"] = own["command"].replace("monit", f"monit {options}")
        sudoers = block("sudoers monit").replace("/monit ", f"/monit {options} ")
        sudoers = sudoers.replace("/var/log/monit", str(place / "monit"))
        async with logged_in(place, sudoers) as host:
            service = MonitService(host, msgspec.convert(own, MonitSettings), {})

            async def stopped() -> bool:
                return (await service.state()).activity is Activity.STOPPED

            async def running() -> bool:
                return (await service.state()).activity is Activity.RUNNING

            await until(running)
            assert await service.obstacles() == ()
            await service.stop()
            await until(stopped)
            await service.start()
            await until(running)
            for line in ("unmonitor shop", "stop all", "stop shop -c /tmp/evil", "-I", "validate"):
                await refuses(host, f"{own['command']} {line}")
            await refuses(host, "sudo -n monit stop shop")
            source = await service.log_source(9, follow=True)
            async with host.stream(source.command) as stream:
                assert any(source.about in line for line in await stream.read_lines())
            await refuses(host, "sudo -n tail -n 9 -F -- /etc/shadow")
            await refuses(host, "sudo -n -- sh -c id")
        async with logged_in(place / "without", "") as host:
            service = MonitService(host, msgspec.convert(own, MonitSettings), {})
            with pytest.raises(RolldeckError, match=REFUSED):
                await service.state()
            with pytest.raises(RolldeckError, match=REFUSED):
                await service.stop()


STUB = """#!/bin/sh
case "$0 $*" in
*journalctl*MESSAGE_ID*) echo INVOCATION_ID={run_before}; exit ;;
*journalctl*json*) echo "{{\\"MESSAGE\\": \\"$(id -u): $0 $*\\"}}"; exit ;;
*journalctl*) echo "$(id -u): $0 $*"; exit ;;
esac
echo "$(id -u): $0 $*" >>{place}/called
case $* in *show*) ;; *) exit ;; esac
printf '%s\\n' ActiveState=active LoadState=loaded MainPID=7 NRestarts=2 InvocationID={run}
"""
RUN, RUN_BEFORE = "0123456789abcdef" * 2, "fedcba9876543210" * 2


def stub(place: Path, name: str, sudoers: str) -> str:
    """Put a program of this name where sudo looks; returns the rules for it there."""
    folder = place / "bin"
    folder.mkdir()
    (folder / name).write_text(STUB.format(place=place, run=RUN, run_before=RUN_BEFORE))
    (folder / name).chmod(0o755)
    (place / "called").touch()
    return f"Defaults secure_path={folder}:/usr/bin:/bin\n{sudoers.replace('/usr/bin', str(folder))}"


async def lines_of_log(host: SshHost, service: SystemdService) -> list[str]:
    """What the stub of journalctl prints, without its arguments."""
    source = await service.log_source(50, follow=True)
    async with host.stream(source.command) as stream:
        return [line.partition(" --")[0] for line in await stream.read_lines()]


async def test_systemd(place: Path) -> None:
    own = settings("service", "systemctl")
    sudoers = stub(place, "systemctl", block("sudoers systemd"))
    shutil.copy(place / "bin" / "systemctl", place / "bin" / "journalctl")
    async with logged_in(place, sudoers) as host:
        service = SystemdService(host, msgspec.convert(own, SystemdSettings), {})
        assert (await service.state()).activity is Activity.RUNNING
        await service.stop()
        await service.start()
        assert await service.obstacles() == ()
        assert not await host.sudo_refusal(service.reload_command())
        called = [line.partition("systemctl ")[2] for line in (place / "called").read_text().splitlines()]
        changing = [line for line in called if not line.startswith("show ")]
        assert changing == [
            "--no-block stop -- shop.service",
            "reset-failed -- shop.service",
            "--no-block start -- shop.service",
        ]
        assert called[5].startswith("show "), "nothing else was run to find obstacles"
        assert len(called) == 6, "a start looks first, and forgets earlier starts of a version that died"
        assert (place / "called").read_text().startswith("0: ")
        assert await lines_of_log(host, service) == [f"0: {place}/bin/journalctl"]
        [line] = await service.last_lines()
        assert line.startswith("0: ")
        assert line.endswith(" --all _SYSTEMD_UNIT=shop.service")
        with rehearsing() as sent:
            await service.last_lines()
        assert len(sent) == 4
        assert [await host.sudo_refusal(rehearsed.command) for rehearsed in sent] == [""] * 4
        for word in ("+ UNIT=a", "+ _SYSTEMD_UNIT=sshd.service", "SHELL=/bin/sh", "--file=/tmp/evil"):
            await refuses(host, f"sudo -n {line.partition('/bin/')[2]} {word}")
        for line in (
            "--no-block stop -- shop.service sshd.service",
            "--no-block stop -- shopXservice",
            "--no-block stop -- other.service",
            "--no-block restart -- shop.service",
            "show --property=A -- other.service",
            "edit shop.service",
        ):
            await refuses(host, f"sudo -n systemctl {line}")
    own["name"] = "other.service"
    async with logged_in(place / "again", block("sudoers systemd")) as host:
        with pytest.raises(PermissionDenied, match=REFUSED):
            await SystemdService(host, msgspec.convert(own, SystemdSettings), {}).stop()


@pytest.mark.skipif(bool(missing()), reason=missing())
async def test_apt(place: Path) -> None:
    repository = DebRepository(place)
    repository.publish("1.4.2")
    prefix = repository.prepare(place / "root")
    call_there(prefix, "apt-get", "update")
    options = f"-c {place}/root/apt/apt.conf"  # sudo passes no APT_CONFIG on
    own = settings("install", "apt-get")
    own["run"] = own["run"].replace("apt-get", f"apt-get {options}")
    own["exists"] = own["exists"].replace("apt-cache", f"apt-cache {options}")
    sudoers = block("sudoers apt").replace("^install", f"^{options} install")
    async with logged_in(place, sudoers, prefix) as host:
        installer = make_installer(
            msgspec.convert(own, InstallSettings),
            msgspec.convert(settings("version", "apt-get"), VersionSettings),
            host=host,
            console=host,
            values={},
        )
        assert await installer.installed() is None
        assert (await installer.check_availability("1.4.2")).presence is Presence.THERE
        assert (await installer.check_availability("1.4.3")).presence is Presence.NOT_THERE
        await installer.install("1.4.2")
        assert await installer.installed() == "1.4.2"
        line = own["run"].format(version="1.4.2")
        for more in (" -o DPkg::Pre-Invoke::=id", " other", "/stable"):
            await refuses(host, line + more)
        await refuses(host, line.replace("shop=", "other="))
        await refuses(host, line.replace("install", "remove"))


async def test_a_wildcard_is_no_replacement(place: Path) -> None:
    sudoers = "rolldeck ALL=(root) NOPASSWD: /usr/bin/env install shop=*\n"
    async with logged_in(place, sudoers) as host:
        evil = "sudo -n -l /usr/bin/env install shop=1 -o DPkg::Pre-Invoke::=id"
        assert (await host.run(Command.shell(evil))).ok
        regular = sudoers.replace("install shop=*", "^install shop=[0-9.]+$")
    async with logged_in(place / "again", regular) as host:
        assert (await host.run(Command.shell("sudo -n -l /usr/bin/env install shop=1.4.2"))).ok
        assert not (await host.run(Command.shell(evil))).ok


async def test_dnf(place: Path) -> None:
    own = settings("install", "dnf")
    async with logged_in(place, stub(place, "dnf", block("sudoers dnf"))) as host:
        installer = make_installer(
            msgspec.convert(own, InstallSettings),
            CommandVersion(run="true"),
            host=host,
            console=host,
            values={},
        )
        await installer.install("1.5.0-2.el9")
        assert (place / "called").read_text() == f"0: {place}/bin/dnf install -y shop-1.5.0-2.el9\n"
        for line in (
            "install -y shop-1 evil",
            "install -y /tmp/evil.rpm",
            "remove -y shop",
            "install -y shop-1,x",
        ):
            await refuses(host, f"sudo -n dnf {line}")


@pytest.mark.parametrize(
    ("version", "status"), [("1.5.0-1", 0), ("", 2), ("-o", 2), ("1 -o x", 2), ("1;id", 2), ("1\n2", 2)]
)
def test_the_program_for_an_older_sudo(tmp_path: Path, version: str, status: int) -> None:
    (tmp_path / "apt-get").write_text('#!/bin/sh\nprintf "%s|" "$@"\n')
    (tmp_path / "apt-get").chmod(0o755)
    (tmp_path / "install").write_text(block("sh"))
    environment: Mapping[str, str] = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    command = ["sh", str(tmp_path / "install"), version, "-o", "more"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=10)
    assert done.returncode == status
    assert done.stdout == ("install|-y|--allow-downgrades|shop=1.5.0-1|" if status == 0 else "")


async def test_releases_with_a_link_need_no_sudo(place: Path) -> None:
    shop = place / "shop"
    (shop / "releases" / "1.5.0").mkdir(parents=True)
    os.chown(shop, NUMBER, NUMBER)
    async with logged_in(place, "") as host:
        recipe = SymlinkInstall(releases=f"{shop}/releases", link=f"{shop}/current")
        version = SymlinkVersion(path=f"{shop}/current")
        installer = make_installer(recipe, version, host=host, console=host, values={})
        await installer.install("1.5.0")
        assert await installer.installed() == "1.5.0"
        result = await host.run(Command(("cat", "/proc/net/tcp")))
        assert result.ok
