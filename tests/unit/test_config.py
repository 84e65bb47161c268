"""Where a configuration is found, and what becomes of a file that is none."""

import re
from pathlib import Path
from typing import get_args

import pytest

from backends.consul.settings import ConsulSettings
from backends.errors import ConfigError
from backends.haproxy.address import HaproxySettings
from backends.hosts.ssh_settings import SshSettings
from backends.installers.command import NoInstall
from backends.installers.versions import VersionSettings
from backends.kinds import HealthSettings, InstallSettings, ServiceSettings
from console.config.config_file import MAX_FILE_BYTES, TABLES, Config, find_and_load, load, parse
from console.config.own_commands import OwnCommandSettings
from console.debug_log import LogSettings
from orchestrator.inventory.kinds import InventorySettings
from orchestrator.inventory.source import NodeSettings
from orchestrator.planning.application import Freeze, Policy
from orchestrator.settings import Access, ApplicationSettings, HookSettings, LockSettings
from tests.support.console_values import raw, write

EXAMPLE = Path(__file__).parents[2] / "config.toml"
KINDS = (ServiceSettings, InstallSettings, VersionSettings, HealthSettings, InventorySettings)
SETTINGS = (
    *(
        ConsulSettings,
        LockSettings,
        LogSettings,
        SshSettings,
        HaproxySettings,
        HookSettings,
        OwnCommandSettings,
        Freeze,
        ApplicationSettings,
        Access,
        NodeSettings,
        Policy,
    ),
    *(struct for kinds in KINDS for struct in get_args(kinds)),
)


def refused(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert caught.value.file == str(path)
    return caught.value.problem


def test_a_first_configuration_fits_on_one_screen(tmp_path: Path) -> None:
    loaded = load(write(tmp_path))
    shop = loaded.app("shop")
    assert (shop.rollout, shop.match, shop.nodes, shop.access.transport) == (Policy(), "name", {}, "ssh")
    assert isinstance(shop.install, NoInstall)
    assert list(loaded.haproxy_of("shop")) == ["lb1"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"\xff\xfe", "is not UTF-8 text"),
        (b"ssh = ", "is not TOML: Invalid value"),
        (b"[ssh]\n[ssh]\n", "is not TOML: Cannot declare"),
        (b"ssh = " + b"9" * 5000, "is not TOML: a number in it has too many digits"),
        (b"ssh = " + b"[" * 100_000, "nested too deep"),
        (b"ssh" + b".a" * 3000 + b" = nan", "found a key of more than 100 parts"),
        (b"", "found none, expected at least one [haproxy.NAME] table"),
        (b"#" * (MAX_FILE_BYTES + 1), "it is longer than"),
    ],
)
def test_a_file_that_is_no_configuration(tmp_path: Path, content: bytes, problem: str) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(content)
    assert problem in refused(path)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    assert refused(tmp_path) == "cannot be read: Is a directory"
    assert refused(tmp_path / "none.toml") == "cannot be read: No such file or directory"
    assert refused(write(tmp_path) / "below") == "cannot be read: Not a directory"


def test_an_endless_file_is_not_read_to_its_end() -> None:
    assert "it is longer than" in refused(Path("/dev/zero"))


def test_it_is_looked_for_here_and_then_in_the_xdg_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, home = tmp_path / "here", tmp_path / "home"
    (home / "rolldeck").mkdir(parents=True)
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home))
    with pytest.raises(ConfigError, match=r"looked for config.toml and .*home/rolldeck/config.toml.*init"):
        find_and_load(None)
    in_home = write(home / "rolldeck")
    assert find_and_load(None).file == str(in_home)
    write(here)
    assert find_and_load(None).file == "config.toml"
    assert find_and_load(str(in_home)).file == str(in_home)


def test_without_xdg_it_is_below_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = tmp_path / ".config" / "rolldeck"
    folder.mkdir(parents=True)
    path = write(folder)
    assert find_and_load(None).file == str(path)


def test_an_application_that_is_not_there_names_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no application 'shp'; did you mean 'shop'\\? there is: shop"):
        load(write(tmp_path)).app("shp")


def test_every_table_that_is_allowed_is_a_field_of_the_configuration() -> None:
    assert set(TABLES) == {*Config.__struct_fields__} - {"file", "writers", "digest"}


@pytest.mark.parametrize("table", [name for name in TABLES if name not in ("haproxy", "apps")])
def test_no_table_is_ignored(table: str) -> None:
    is_list = table in ("hooks", "freeze", "commands")
    with pytest.raises(ConfigError, match="unheard-of") as refused:
        parse(raw() | {table: [{"unheard-of": 1}] if is_list else {"unheard-of": 1}}, "config.toml")
    assert refused.value.key.startswith(table)


def test_an_application_may_have_some_of_the_load_balancers() -> None:
    document = raw(haproxy=["lb2"])
    document["haproxy"]["lb2"] = {"socket": "tcp://10.0.0.1:9999"}
    assert list(parse(document, "f").haproxy_of("shop")) == ["lb2"]
    document["apps"]["shop"]["haproxy"] = ["lb3"]
    with pytest.raises(
        ConfigError, match=r"apps.shop.haproxy: found 'lb3', did you mean 'lb2'\? expected one of: lb1, lb2"
    ):
        parse(document, "f")


def test_the_example_loads_and_is_complete() -> None:
    loaded = load(EXAMPLE)
    assert list(loaded.haproxy_of("shop")) == ["lb1", "lb2"]
    shop = loaded.app("shop")
    assert shop.nodes["web4"].servers == ["shop-four"]
    text = EXAMPLE.read_text()
    unmentioned = [
        field
        for struct in SETTINGS
        for field in struct.__struct_encode_fields__
        if not re.search(rf"\b{field}\b", text)
    ]
    assert unmentioned == []


def test_every_default_in_the_examples_comments_is_a_real_key(tmp_path: Path) -> None:
    """Each `# key = value` line is switched on, one at a time, in place of what stands there."""
    lines = EXAMPLE.read_text().splitlines()
    tried = 0
    for index, line in enumerate(lines):
        match = re.match(r"# ([a-z_0-9]+) = ([^#]+?)\s*(#.*)?$", line)
        if not match or match[1] in (
            "kind",
            "socket",
            "stats_url",
            "username",
            "password_env",
            "run",
            "path",
        ):
            continue  # those belong to tables that are comments themselves
        path = write(tmp_path, "\n".join([*lines[:index], line.removeprefix("# "), *lines[index + 1 :]]))
        load(path)
        tried += 1
    assert tried >= 10


def test_a_password_itself_has_no_key_and_is_not_shown() -> None:
    document = raw()
    document["haproxy"]["lb1"] = {"stats_url": "http://h/", "password": "hunter2"}
    with pytest.raises(ConfigError, match="did you mean 'password_env'") as caught:
        parse(document, "f")
    assert "hunter2" not in str(caught.value)
