"""A configuration that nobody named, and files that one names: whose they may be, with real users."""

import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from backends.errors import ConfigError
from backends.file_trust import Writers, open_trusted
from console.command_line import cli
from console.config import config_file
from console.config.config_file import find_and_load, load
from tests.support.console_values import TOML, write
from tests.support.users import MALLORY, OPS, become, give, needs_root
from tests.unit.inventories import configured, nodes_of

pytestmark = needs_root

RUNS = """
[haproxy.lb1]
socket = "tcp://127.0.0.1:1"

[consul]
address = "http://127.0.0.1:1"
token_command = "touch {ran}; echo a-token-of-mallory"

[apps.shop]
backends = ["shop"]
service = {{ kind = "monit", name = "shop" }}
load_balancers = {{ kind = "consul-key", key = "haproxy" }}
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, in which nobody looks for a configuration anywhere else."""
    folder = tmp_path / "here"
    folder.mkdir(mode=0o755)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))
    monkeypatch.delenv("SUDO_UID", raising=False)
    return folder


def refusal(explicit: str | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        find_and_load(explicit)
    return str(caught.value)


def test_its_command_does_not_run_before_it_is_named(here: Path, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    give(write(here, RUNS.format(ran=ran)), MALLORY)
    done = CliRunner().invoke(cli, ["status"], standalone_mode=False)
    assert isinstance(done.exception, ConfigError)
    assert not ran.exists()
    CliRunner().invoke(cli, ["--config", "config.toml", "status"], standalone_mode=False)
    assert ran.exists()


def _of_mallory(folder: Path) -> None:
    give(folder / "config.toml", MALLORY)


def _for_everybody(folder: Path) -> None:
    (folder / "config.toml").chmod(0o646)


def _for_a_group(folder: Path) -> None:
    give(folder / "config.toml", 0, OPS).chmod(0o664)


def _in_a_folder_for_everybody(folder: Path) -> None:
    folder.chmod(0o777)


def _in_a_folder_such_as_tmp(folder: Path) -> None:
    folder.chmod(0o1777)


def _in_a_folder_of_a_group(folder: Path) -> None:
    give(folder, 0, OPS).chmod(0o1775)


def _in_a_folder_of_mallory(folder: Path) -> None:
    give(folder, MALLORY).chmod(0o755)


def _below_a_folder_of_mallory(folder: Path) -> None:
    give(folder.parent, MALLORY).chmod(0o755)


def _below_a_folder_for_everybody(folder: Path) -> None:
    folder.parent.chmod(0o777)


def _a_link_to_one_of_mallory(folder: Path) -> None:
    there = folder.parent / "there.toml"
    give((folder / "config.toml").rename(there), MALLORY)
    (folder / "config.toml").symlink_to(there)


def _a_link_of_mallory(folder: Path) -> None:
    (folder / "config.toml").rename(folder / "there.toml")
    (folder / "config.toml").symlink_to("there.toml")
    give(folder / "config.toml", MALLORY)


def _a_link_into_a_folder_for_everybody(folder: Path) -> None:
    there = folder.parent / "there"
    there.mkdir()
    there.chmod(0o1777)
    (folder / "config.toml").rename(there / "config.toml")
    (folder / "config.toml").symlink_to("../there/config.toml")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (_of_mallory, "here/config.toml belongs to uid 54321 (mode 0644), expected root (uid 0). A"),
        (_for_everybody, "here/config.toml can be written by everybody (of root (uid 0), mode 0646). A"),
        (_for_a_group, "here/config.toml can be written by group gid 54322 (of root (uid 0), mode 0664). A"),
        (_in_a_folder_for_everybody, "here can be written by everybody (of root (uid 0), mode 0777). A"),
        (_in_a_folder_such_as_tmp, "here can be written by everybody (of root (uid 0), mode 1777). A"),
        (_in_a_folder_of_a_group, "here can be written by group gid 54322 (of root (uid 0), mode 1775). A"),
        (_in_a_folder_of_mallory, "here belongs to uid 54321 (mode 0755), expected root (uid 0). A"),
        (_below_a_folder_of_mallory, "belongs to uid 54321 (mode 0755), expected root (uid 0). A"),
        (_below_a_folder_for_everybody, "can be written by everybody (of root (uid 0), mode 0777). A"),
        (_a_link_to_one_of_mallory, "there.toml belongs to uid 54321 (mode 0644), expected root (uid 0). A"),
        (_a_link_of_mallory, "here/config.toml belongs to uid 54321 (mode 0777), expected root (uid 0). A"),
        (
            _a_link_into_a_folder_for_everybody,
            "there can be written by everybody (of root (uid 0), mode 1777",
        ),
    ],
)
def test_one_that_somebody_else_may_write_is_refused_unless_it_is_named(
    here: Path, make: Callable[[Path], None], words: str
) -> None:
    write(here)
    assert list(find_and_load(None).apps) == ["shop"]
    make(here)
    said = refusal()
    assert words in said
    assert said.startswith("config.toml: is not used: /")
    assert said.endswith("any command run; if this one is meant: --config config.toml")
    assert list(find_and_load("config.toml").apps) == ["shop"]


def test_so_is_one_in_the_xdg_folder(here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "xdg" / "rolldeck"
    folder.mkdir(parents=True)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    path = give(write(folder), MALLORY)
    said = refusal()
    assert f"{path} belongs to uid 54321" in said
    assert said.endswith(f"--config {path}")
    give(path, 0)
    assert find_and_load(None).file == str(path)
    (tmp_path / "dotfiles").mkdir()
    (tmp_path / "xdg").rename(tmp_path / "dotfiles" / "xdg")
    (tmp_path / "xdg").symlink_to("dotfiles/xdg")  # as we like to have it
    assert find_and_load(None).file == str(path)
    give(tmp_path / "dotfiles", MALLORY)
    assert "dotfiles belongs to uid 54321" in refusal()


def test_in_a_sticky_folder_ours_is_ours(here: Path) -> None:
    """Such as one below /tmp: others can neither write nor replace it."""
    below = here / "below"
    below.mkdir()
    here.chmod(0o1777)
    write(below)
    os.chdir(below)
    assert find_and_load(None).file == "config.toml"


def test_who_called_sudo_is_not_root(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_UID", str(MALLORY))
    give(write(here), MALLORY)
    assert "expected root (uid 0); under sudo only root's own files count. A" in refusal()


def test_of_a_user_root_and_the_user_count(monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        folder.chmod(0o711)  # not readable, which nobody needs on the way
        below = folder / "below"
        below.mkdir()
        path = write(below)
        monkeypatch.chdir(below)
        for owner in (0, MALLORY):
            give(path, owner)
            with become(MALLORY):
                assert find_and_load(None).file == "config.toml"
        give(path, OPS)
        with become(MALLORY):
            assert "belongs to uid 54322 (mode 0644), expected root (uid 0) or uid 54321" in refusal()


def test_the_group_of_its_owner_alone_is_nobody_else(here: Path) -> None:
    """As distributions have it that give each user a group, and files to the group."""
    path = write(here)
    path.chmod(0o664)
    here.chmod(0o775)
    assert find_and_load(None).file == "config.toml"


def test_a_list_of_others_who_may_write_it_is_seen(here: Path) -> None:
    path = write(here)
    path.chmod(0o644)
    # struct posix_acl_xattr: version, then tag, permissions and id of each entry.
    entries = [(0x01, 6, 2**32 - 1), (0x02, 6, MALLORY), (0x04, 4, 2**32 - 1), (0x10, 6, 2**32 - 1)]
    entries.append((0x20, 4, 2**32 - 1))
    value = (2).to_bytes(4, "little")
    for tag, permissions, who in entries:
        value += tag.to_bytes(2, "little") + permissions.to_bytes(2, "little") + who.to_bytes(4, "little")
    try:
        os.setxattr(path, "system.posix_acl_access", value)
    except OSError as error:
        pytest.skip(f"no access lists on this file system: {error.strerror}")
    assert stat.S_IMODE(path.stat().st_mode) == 0o664
    assert "can be written by group root (gid 0) (of root (uid 0), mode 0664)" in refusal()


def test_what_is_read_is_what_was_looked_at(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Replaced between the look and the reading, the one that was looked at is read."""
    path = write(here)
    evil = give(write(here.parent, TOML.replace("apps.shop", "apps.evil")), MALLORY)

    def replaced(there: Path, writers: Writers) -> int:
        opened = open_trusted(there, writers)
        os.replace(evil, path)
        return opened

    monkeypatch.setattr(config_file, "open_trusted", replaced)
    assert list(find_and_load(None).apps) == ["shop"]


def test_a_fifo_is_not_waited_for(here: Path) -> None:
    os.mkfifo(here / "nodes.toml")
    with pytest.raises(ConfigError, match=r"nodes\.toml is not used: .*nodes\.toml is not a regular file"):
        nodes_of(load(configured(here, "nodes.toml")))


NODES = '[nodes]\nweb1 = { address = "10.0.0.1", transport = "local", prefix = "sh -c id" }\n'


def names_in(path: Path) -> list[str]:
    return list(nodes_of(load(path)))


def test_nodes_in_toml_bring_commands_and_are_looked_at_like_it(here: Path) -> None:
    nodes = here / "nodes.toml"
    nodes.write_text(NODES)
    path = configured(here, "nodes.toml")
    assert names_in(path) == ["web1"]
    give(nodes, MALLORY)
    with pytest.raises(ConfigError) as caught:
        names_in(path)
    assert str(caught.value) == (
        f"{path}: apps.shop.inventory.path: {nodes} is not used:"
        f" {nodes} belongs to uid 54321 (mode 0644), expected root (uid 0)"
    )
    give(path, MALLORY)  # named, and whoever may write it may as well write that file
    assert names_in(path) == ["web1"]
    give(nodes, 0, OPS).chmod(0o664)
    with pytest.raises(ConfigError, match=r"can be written by group gid 54322"):
        names_in(path)
    give(path, 0, OPS).chmod(0o664)
    assert names_in(path) == ["web1"]
    nodes.chmod(0o666)
    with pytest.raises(ConfigError, match="can be written by everybody"):
        names_in(path)


@pytest.mark.parametrize("beside", [False, True])
def test_an_ansible_inventory_may_be_a_teams_but_not_everybodys(here: Path, beside: bool) -> None:
    """It brings no commands, only the hosts on which ours run."""
    inventory = here / "hosts.ini"
    inventory.write_text("[shop]\nweb1\n")
    path = configured(here, "hosts.ini")
    looked_at = inventory
    if beside:
        looked_at = here / "group_vars" / "shop.yml"
        looked_at.parent.mkdir()
        looked_at.write_text("ansible_user: deploy\n")
    give(looked_at, MALLORY, OPS).chmod(0o664)
    give(looked_at.parent, MALLORY, OPS).chmod(0o775)
    assert names_in(path) == ["web1"]
    looked_at.chmod(0o666)
    with pytest.raises(
        ConfigError, match=f"{looked_at} is not used: {looked_at} can be written by everybody"
    ):
        names_in(path)
    looked_at.chmod(0o664)
    looked_at.parent.chmod(0o1777)
    with pytest.raises(ConfigError, match=f"is not used: {looked_at.parent} can be written by everybody"):
        names_in(path)


def test_check_says_which_file_was_read(here: Path) -> None:
    write(here)
    done = CliRunner().invoke(cli, ["check", "shop"], standalone_mode=False)
    assert done.stdout.splitlines()[0] == f"configuration: {here / 'config.toml'}"
