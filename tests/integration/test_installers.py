"""Installing on this machine with the real tools, in a temporary folder."""

import asyncio
import os
import shlex
import shutil
from pathlib import Path

import pytest

from backends.errors import Refused, UnknownOutcome, UnreadableReply
from backends.hosts.local import LocalHost
from backends.installers import command
from backends.installers.ansible import AnsibleInstall
from backends.installers.command import CommandInstall, SymlinkInstall
from backends.installers.compose import writable_command
from backends.installers.versions import (
    CommandVersion,
    DpkgVersion,
    FileVersion,
    SymlinkVersion,
    VersionProbe,
    VersionSettings,
)
from backends.kinds import InstallSettings, default_version, make_installer
from backends.node_state import Availability, Presence
from backends.protocols import Installer
from orchestrator.planning.findings import Finding, Severity
from tests.integration.ways_back import find_ways_back
from tests.support.login_user import open_folder
from tests.support.users import MALLORY, give, needs_root

NODE = {"app": "shop", "node": "web1", "address": "127.0.0.1", "port": "8080"}
HOST = LocalHost("web1")


def installer(
    settings: InstallSettings,
    version: VersionSettings | None = None,
    host: LocalHost = HOST,
    timeout: float = 600.0,
) -> Installer:
    version = version or default_version(settings)
    assert version is not None
    return make_installer(settings, version, host=host, console=HOST, values=NODE, timeout=timeout)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A folder with a hostile name, two releases and no link yet."""
    folder = tmp_path / 'it\'s $(here); "shop"'
    for version in ("1.4.2", "1.5.0"):
        (folder / "releases" / version).mkdir(parents=True)
        (folder / "releases" / version / "VERSION").write_text(f"{version}\n")
    return folder


def symlink(shop: Path, prefetch: str = "") -> SymlinkInstall:
    releases, link = str(shop / "releases"), str(shop / "current")
    return SymlinkInstall(releases=releases, link=link, prefetch=prefetch)


async def test_a_symlinked_release_from_nothing_and_back(shop: Path) -> None:
    node = installer(symlink(shop))
    assert await node.installed() is None
    for version in ("1.4.2", "1.5.0", "1.5.0", "1.4.2"):
        await node.install(version)
        assert await node.installed() == version
        assert (shop / "current" / "VERSION").read_text() == f"{version}\n"
    assert sorted(os.listdir(shop)) == ["current", "releases"]


async def test_a_link_that_could_not_be_replaced_is_found_before(shop: Path) -> None:
    nowhere = SymlinkInstall(releases=f"{shop}/releases", link=f"{shop}/none/current")
    found = await installer(nowhere).check_availability("1.5.0")
    assert found == Availability(Presence.NOT_THERE, "the folder of `link` does not exist")
    (shop / "current").mkdir()
    found = await installer(symlink(shop)).check_availability("1.5.0")
    assert (found.presence, found.detail[:36]) == (Presence.NOT_THERE, "`link` is not a symbolic link, and w")
    with pytest.raises(UnreadableReply, match="there is no link"):
        await installer(symlink(shop)).installed()
    with pytest.raises(ValueError, match="`link`: found '/opt/shop/current/', expected the link itself"):
        SymlinkInstall(releases="/opt/shop/releases", link="/opt/shop/current/")


@needs_root
async def test_who_may_not_write_beside_the_link_is_told_before() -> None:
    """Otherwise the node would be found to be in the way when it is drained and stopped."""
    nobody = LocalHost("web1", prefix=f"setpriv --reuid={MALLORY} --regid={MALLORY} --clear-groups")
    with open_folder() as folder:
        (folder / "releases" / "1.5.0").mkdir(parents=True)
        (folder / "current").symlink_to("releases/1.5.0")
        node = installer(symlink(folder), host=nobody)
        found = await node.check_availability("1.5.0")
        assert found.presence is Presence.NOT_THERE
        assert "cannot be written by the user who would replace the link" in found.detail
        with pytest.raises(Refused, match="Permission denied"):
            await node.install("1.5.0")
        (folder / "compose.yaml").touch()
        looked = await nobody.run(writable_command(f"{folder}/compose.yaml"))
        assert looked.stdout == "no\n"
        give(folder, MALLORY)
        assert (await node.check_availability("1.5.0")).presence is Presence.THERE
        await node.install("1.5.0")
        assert not (await nobody.run(writable_command(f"{folder}/compose.yaml"))).stdout


async def test_readers_never_miss_the_link_while_it_is_switched(shop: Path) -> None:
    node = installer(symlink(shop))
    await node.install("1.4.2")
    done = asyncio.Event()

    def read_all_the_time() -> tuple[int, set[str]]:
        reads, seen = 0, set()
        while not done.is_set():
            seen.add((shop / "current" / "VERSION").read_text().strip())
            reads += 1
        return reads, seen

    readers = [asyncio.create_task(asyncio.to_thread(read_all_the_time)) for _ in range(3)]
    try:
        for _ in range(15):
            await node.install("1.5.0")
            await node.install("1.4.2")
    finally:
        done.set()
    results = await asyncio.gather(*readers)
    assert all(reads > 0 for reads, _ in results)
    assert set.union(*(seen for _, seen in results)) == {"1.4.2", "1.5.0"}


async def test_a_release_that_is_not_there_changes_nothing(shop: Path) -> None:
    node = installer(symlink(shop))
    await node.install("1.4.2")
    with pytest.raises(Refused, match=r"install 1\.6\.0: exit status 1: no such release: .*1\.6\.0"):
        await node.install("1.6.0")
    assert await node.installed() == "1.4.2"


async def test_whether_a_release_is_there_is_known_before(shop: Path) -> None:
    (shop / "releases" / "1.4.2").touch()
    os.utime(shop / "releases" / "1.4.2", (1, 1))  # the older one
    node = installer(symlink(shop))
    assert (await node.check_availability("1.5.0")).presence is Presence.THERE
    assert await node.versions() == ("1.5.0", "1.4.2")
    missing = await node.check_availability("1.5.9")
    assert (missing.presence, missing.others) == (Presence.NOT_THERE, ("1.5.0", "1.4.2"))
    assert missing.detail == f"there is no directory {shop}/releases/1.5.9"
    fetched = await installer(symlink(shop, prefetch="rsync x")).check_availability("1.5.9")
    assert (fetched.presence, fetched.others) == (Presence.NOT_KNOWN, ("1.5.0", "1.4.2"))
    nowhere = installer(SymlinkInstall(releases=f"{shop}/none", link=f"{shop}/current"))
    assert (await nowhere.check_availability("1.5.0")).presence is Presence.NOT_THERE
    with pytest.raises(UnreadableReply, match=r"versions: .*none"):
        await nowhere.versions()
    assert sorted(os.listdir(shop)) == ["releases"]


async def test_a_command_lists_the_versions(tmp_path: Path) -> None:
    listed = "printf '2.0\\n1.9 -x\\n2.0\\n'"  # one of them is no version, and one is there twice
    version = FileVersion(path=str(tmp_path / "VERSION"))
    assert await installer(CommandInstall(run="true", versions=listed), version).versions() == ("2.0", "1.9")
    assert await installer(CommandInstall(run="true"), version).versions() is None
    with pytest.raises(UnreadableReply, match="versions: no more"):
        await installer(CommandInstall(run="true", versions="echo no more >&2; exit 7"), version).versions()
    by_release = SymlinkInstall(releases="/opt/{version}", link="/opt/current")
    assert await installer(by_release).versions() is None


async def test_the_way_back_is_there_as_long_as_its_release_is(shop: Path) -> None:
    node = installer(symlink(shop))
    await node.install("1.4.2")
    assert await find_ways_back(node, "1.5.0") == []
    shutil.rmtree(shop / "releases" / "1.4.2")
    text = f"there is no directory {shop}/releases/1.4.2; there is 1.5.0"
    finding = Finding(Severity.WARNING, "web1", f"a rollback to 1.4.2 would fail: {text}")
    assert await find_ways_back(node, "1.5.0") == [finding]


@pytest.mark.parametrize(
    ("exists", "presence", "detail"),
    [
        ("test {version} = 1.5.0", Presence.THERE, ""),
        ("echo 'no such build'; exit 1", Presence.NOT_THERE, "`exists` says so: no such build"),
        ("echo broken >&2; exit 2", Presence.NOT_KNOWN, "exit status 2, expected 0 (it can be had) or 1"),
        ("no-such-program {version}", Presence.NOT_KNOWN, "exit status 127"),
        ("exec sleep 30", Presence.NOT_KNOWN, "did not end within 0.2 s"),
        ("if", Presence.NOT_KNOWN, "exit status 2"),
    ],
)
async def test_a_command_says_whether_a_version_can_be_had(
    exists: str, presence: Presence, detail: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "sleep" in exists:
        monkeypatch.setattr(command, "EXISTS_TIMEOUT_S", 0.2)
    settings = CommandInstall(run="false", exists=exists)
    found = await installer(settings, FileVersion(path="/VERSION")).check_availability("1.5.0")
    assert found.presence is presence, found
    assert detail in found.detail


async def test_a_command_that_is_kept_from_running_says_nothing() -> None:
    """Exit status 1 is that of whatever stands before it."""
    settings = CommandInstall(run="false", exists="true")
    node = installer(settings, FileVersion(path="/VERSION"), LocalHost("web1", prefix="false"))
    found = await node.check_availability("1.5.0")
    assert (found.presence, found.detail) == (Presence.NOT_KNOWN, "`exists` was not run: (no output)")


async def test_a_directory_in_the_place_of_the_link_is_left_alone(shop: Path) -> None:
    (shop / "current").mkdir()
    node = installer(symlink(shop))
    with pytest.raises(UnreadableReply, match="Invalid argument"):
        await node.installed()
    with pytest.raises(Refused, match="cannot overwrite directory"):
        await node.install("1.5.0")
    assert list((shop / "current").iterdir()) == []


async def test_a_release_is_prefetched_by_a_template(shop: Path) -> None:
    releases = shlex.quote(str(shop / "releases"))
    copy = f"cp -r {releases}/1.5.0 {releases}/.{{version}} && mv {releases}/.{{version}}"
    node = installer(symlink(shop, prefetch=f"{copy} {releases}/{{version}}"))
    await node.prefetch("1.6.0")
    await node.install("1.6.0")
    assert await node.installed() == "1.6.0"


async def test_relative_paths_are_read_from_where_the_host_runs_commands(shop: Path) -> None:
    relative = os.path.relpath(shop)  # noqa: ASYNC240 - no file is touched but the working directory
    node = installer(SymlinkInstall(releases=f"{relative}/releases", link=f"{relative}/current"))
    await node.install("1.5.0")
    assert (shop / "current").readlink() == Path("releases/1.5.0")
    assert await node.installed() == "1.5.0"


async def test_a_command_that_installs(tmp_path: Path) -> None:
    disk = tmp_path / "VERSION"
    settings = CommandInstall(run=f"printf '%s\\n' {{version}} > {shlex.quote(str(disk))}")
    node = installer(settings, FileVersion(path=str(disk)))
    assert await node.installed() is None
    await node.install("1:1.5.0~rc1")
    assert await node.installed() == "1:1.5.0~rc1"


async def test_a_command_whose_time_is_over_goes_on_and_can_be_waited_for(tmp_path: Path) -> None:
    disk = shlex.quote(str(tmp_path / "VERSION"))
    settings = CommandInstall(run=f"sleep 0.4; echo {{version}} > {disk}")
    node = installer(settings, FileVersion(path=str(tmp_path / "VERSION")), timeout=0.1)
    with pytest.raises(UnknownOutcome) as caught:
        await node.install("1.5.0")
    pid = caught.value.pid
    assert pid is not None
    while await HOST.alive(pid):
        await asyncio.sleep(0.05)
    assert await node.installed() == "1.5.0"


@pytest.mark.skipif(shutil.which("dpkg-query") is None, reason="not a Debian system")
async def test_packages_of_this_system() -> None:
    found = await VersionProbe(HOST, DpkgVersion(package="dpkg"), NODE).installed()
    asked = CommandVersion(run="dpkg --version", pattern=r"version (\S+)")
    assert found is not None
    assert found.startswith(str(await VersionProbe(HOST, asked, NODE).installed()))
    missing = DpkgVersion(package="rolldeck-no-such-package")
    assert await VersionProbe(HOST, missing, NODE).installed() is None


async def test_files_and_links_of_this_system(tmp_path: Path) -> None:
    (tmp_path / "shop.jar").symlink_to("lib/shop-1.4.2.jar")
    (tmp_path / "file").write_text("\nShop 1.4.2 (build 7)\n")
    jar = SymlinkVersion(path=f"{tmp_path}/{{app}}.jar", pattern=r"shop-(.+)\.jar$")
    file = FileVersion(path=f"{tmp_path}/file", pattern=r"^Shop (\S+)")
    assert await VersionProbe(HOST, jar, NODE).installed() == "1.4.2"
    assert await VersionProbe(HOST, file, NODE).installed() == "1.4.2"
    with pytest.raises(UnreadableReply, match="Is a directory"):
        await VersionProbe(HOST, FileVersion(path=str(tmp_path)), NODE).installed()
    with pytest.raises(UnreadableReply, match="Not a directory"):
        await VersionProbe(HOST, SymlinkVersion(path=f"{tmp_path}/file/x"), NODE).installed()


ANSIBLE_PLAYBOOK = """#!/bin/sh
[ "$1" = --limit=web1 ] || { echo "ERROR! no hosts matched" >&2; exit 1; }
printf '%s' "$2" | sed 's/.*"version":"\\([^"]*\\)".*/\\1/' > "VERSION of web1"
pwd; echo "$ANSIBLE_NOCOLOR $*"
"""


async def test_a_playbook_runs_in_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ansible-playbook").write_text(ANSIBLE_PLAYBOOK)
    (tmp_path / "ansible-playbook").chmod(0o755)
    (tmp_path / "play books").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    settings = AnsibleInstall(playbook="deploy.yml", directory=str(tmp_path / "play books"))
    disk = FileVersion(path=str(tmp_path / "play books" / "VERSION of web1"))
    node = installer(settings, disk)
    await node.install("1.10")
    assert await node.installed() == "1.10"
    elsewhere = AnsibleInstall(playbook="deploy.yml", limit="db1")
    with pytest.raises(Refused, match="no hosts matched"):
        await installer(elsewhere, disk).install("1.10")
