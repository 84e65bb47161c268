"""An ssh configuration that others may write runs nothing, as with ssh."""

import asyncio
import gc
import subprocess
from pathlib import Path

import pytest

from backends.errors import Unreachable
from backends.hosts.ssh import SshHost
from backends.hosts.ssh_settings import SshSettings
from tests.support.users import MALLORY, OPS, give, needs_root
from tests.support.wait import until

pytestmark = needs_root


def running_programs() -> set[int]:
    """The ids of the processes that this one has started and not yet waited for."""
    programs = (thing for thing in gc.get_objects() if type(thing) is subprocess.Popen)
    return {program.pid for program in programs if program.returncode is None}


def refused(settings: SshSettings) -> str:
    before = running_programs()

    async def connect() -> None:
        host = SshHost("web1", "web1", settings)
        try:
            await host.connect()
        finally:
            await host.close()
            # A ProxyCommand has closed its output, but its end is seen later; without a loop, never.
            await until(lambda: running_programs() <= before)

    with pytest.raises(Unreachable) as caught:
        asyncio.run(connect())
    return caught.value.problem


@pytest.fixture
def ran(tmp_path: Path) -> Path:
    """There once the ProxyCommand has run."""
    return tmp_path / "ran"


@pytest.fixture
def config(tmp_path: Path, ran: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir(mode=0o755)
    path = tmp_path / ".ssh" / "config"
    path.write_text(f"Host web1\n  ProxyCommand touch {ran}\n")
    return path


def test_that_of_the_home_folder_is_ours_or_roots(config: Path, ran: Path) -> None:
    for owner, group, mode, words in (
        (MALLORY, 0, 0o644, f"{config} belongs to uid 54321 (mode 0644), expected root (uid 0)"),
        (0, OPS, 0o664, f"{config} can be written by group gid 54322 (of root (uid 0), mode 0664)"),
        (0, 0, 0o646, f"{config} can be written by everybody (of root (uid 0), mode 0646)"),
    ):
        give(config, owner, group).chmod(mode)
        assert refused(SshSettings()) == f"the ssh configuration of web1 cannot be used: {words}"
        assert not ran.exists()
    give(config, 0).chmod(0o644)
    refused(SshSettings())
    assert ran.exists()


def test_one_that_is_named_is_not_everybodys(config: Path, ran: Path) -> None:
    settings = SshSettings(config=str(config))
    give(config, MALLORY).chmod(0o666)
    assert "can be written by everybody" in refused(settings)
    assert not ran.exists()
    config.chmod(0o664)
    refused(settings)
    assert ran.exists()


def test_none_at_all_may_be_named(tmp_path: Path) -> None:
    assert "cannot be used" not in refused(SshSettings(config="/dev/null", port=1))
