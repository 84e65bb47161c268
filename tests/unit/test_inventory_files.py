"""Inventories as the configuration names them: where they are found, and what is wrong with them."""

from pathlib import Path

import pytest

from backends.errors import ConfigError
from backends.inventories import files
from backends.model import Server
from console.config.config_file import load, parse
from orchestrator.inventory.resolver import resolve_nodes
from orchestrator.inventory.source import NodeSettings
from tests.support.console_values import raw, server
from tests.unit.inventories import configured, loaded, nodes_of, refused

NODES = """\
[nodes]
web2 = { address = "10.0.0.12", port = 8081, ssh = "two", ssh_user = "joe", ssh_port = 2222 }
web1 = {}
"""


def test_a_toml_file_says_what_the_table_of_nodes_would(tmp_path: Path) -> None:
    nodes = loaded(tmp_path, NODES, name="nodes.toml")
    assert list(nodes) == ["web2", "web1"]
    assert nodes["web1"] == NodeSettings()
    assert nodes["web2"] == NodeSettings(
        address="10.0.0.12", port=8081, ssh="two", ssh_user="joe", ssh_port=2222
    )


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "nodes: found no nodes, expected a table [nodes] with at least one"),
        ("[nodes]", "nodes: found no nodes"),
        ("nodes = 3", "nodes: found no nodes"),
        (
            'web1 = { address = "10.0.0.1" }',
            "web1: found outside of the table [nodes], expected every node in it",
        ),
        ("[nodes]\nweb1 = 3", "nodes.web1: found 3, expected a table"),
        ("[nodes]\nweb1 = { adress = 'x' }", "nodes.web1.adress: unknown key; did you mean 'address'?"),
        ("[nodes]\nweb1 = { port = 70000 }", "nodes.web1.port: found 70000, expected 1 to 65535"),
        ("[nodes]\nweb1 = { ssh_port = -1 }", "nodes.web1.ssh_port: found -1, expected 1 to 65535"),
        ("[nodes]\nweb1 = { ssh_user = '-x' }", "nodes.web1.ssh_user: '-x' cannot be used"),
        ("[nodes]\nweb1 = { address = 'a b' }", "nodes.web1.address: 'a b' cannot be used"),
        ("[nodes]\n'web 1' = {}", "nodes: 'web 1' cannot be used"),
        ("[nodes", "is not TOML: "),
        ("x = " + "9" * 5000, "is not TOML: a number in it has too many digits"),
        ("x = " + "[" * 100_000, "its tables or lists are nested too deep"),
        (
            "[nodes]\n" + "".join(f"w{n}={{}}\n" for n in range(20_001)),
            "nodes: found 20001 nodes, expected at most",
        ),
    ],
)
def test_what_is_no_inventory_in_toml(tmp_path: Path, text: str, error: str) -> None:
    assert refused(tmp_path, text, name="nodes.toml").startswith(f"{tmp_path / 'nodes.toml'}: {error}")


def test_a_group_that_is_not_there_names_those_that_are(tmp_path: Path) -> None:
    assert refused(tmp_path, "[shop]\na\n[api]\nb\n", group="shp").endswith(
        "hosts.ini: no group 'shp'; did you mean 'shop'? there is: all, api, shop, ungrouped"
    )
    many = "".join(f"[g{number:02}]\na\n" for number in range(40))
    assert refused(tmp_path, many).endswith("g18 and 22 more")
    assert refused(tmp_path, "[shop]\n[shop:vars]\nx=1\n").endswith(
        "hosts.ini: group 'shop' is empty, expected at least one host in it"
    )


def test_a_host_that_cannot_be_a_node_is_refused(tmp_path: Path) -> None:
    inventory = "shop: {hosts: {'web 1': {ansible_host: 10.0.0.1}}}"
    assert refused(tmp_path, inventory, name="h.yaml").endswith(
        "h.yaml: hosts: 'web 1' cannot be used: expected letters, digits and . _ : % @ + = , ~ -"
    )


@pytest.mark.parametrize("name", ["nodes.toml", "hosts.ini", "hosts.yml"])
def test_a_file_that_cannot_be_read(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    config = configured(tmp_path, name)

    def problem() -> str:
        with pytest.raises(ConfigError) as caught:
            nodes_of(load(config))
        return str(caught.value)

    key = f"{config}: apps.shop.inventory.path: {path}"
    assert problem() == f"{key} cannot be read: No such file or directory"
    path.mkdir()
    assert problem() == f"{key} cannot be read: Is a directory"
    path.rmdir()
    path.write_bytes(b"\n\n\xff\n")
    assert problem() == f"{path}: line 3: is not UTF-8 text"
    path.write_bytes(b"#" * (files.LONGEST + 1))
    assert problem() == f"{path}: is longer than 4194304 bytes"
    path.unlink()
    path.symlink_to("/dev/zero")
    assert problem() == f"{key} is not used: /dev/zero is not a regular file"


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("", "found an empty text, expected the path of a file"),
        ("~nobody-of-this-name/hosts", "whose home folder is not known"),
        ("a\0b", "which is not a path"),
    ],
)
def test_what_is_no_path(path: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem) as caught:
        nodes_of(parse(raw(inventory={"kind": "ansible", "path": path, "group": "shop"}), "f"))
    assert caught.value.key == "apps.shop.inventory.path"


def test_a_path_begins_beside_the_configuration_or_at_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    below, home = tmp_path / "below", tmp_path / "home"
    below.mkdir()
    home.mkdir()
    (below / "hosts").write_text("[shop]\nbelow\n")
    (home / "hosts").write_text("[shop]\nhome\n")
    monkeypatch.setenv("HOME", str(home))
    for path, node in (("below/hosts", "below"), ("~/hosts", "home"), (str(home / "hosts"), "home")):
        assert list(nodes_of(load(configured(tmp_path, path)))) == [node]
    monkeypatch.chdir(below)
    configured(tmp_path, "below/hosts")
    assert list(nodes_of(load(Path("../config.toml")))) == ["below"]


@pytest.mark.parametrize(
    ("inventory", "key", "problem"),
    [
        ({"path": "x"}, ".kind", "missing; expected one of: toml, ansible"),
        ({"kind": "ansble", "path": "x"}, ".kind", "did you mean 'ansible'?"),
        ({"kind": "toml"}, ".path", "missing"),
        ({"kind": "ansible", "path": "x"}, ".group", "missing"),
        ({"kind": "toml", "path": "x", "group": "g"}, ".group", "unknown key"),
        ({"kind": "toml", "path": 3}, ".path", "found 3, expected a text"),
        ("hosts.ini", "", "found 'hosts.ini', expected a table"),
    ],
)
def test_settings_that_are_wrong(inventory: object, key: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(raw(inventory=inventory), "f")
    assert caught.value.key == f"apps.shop.inventory{key}"
    assert problem in caught.value.problem


@pytest.mark.parametrize("nodes", [{"web1": {}}, {}])
def test_nodes_and_an_inventory_are_one_too_many(nodes: dict[str, object]) -> None:
    with pytest.raises(
        ConfigError, match=r"^f: apps.shop.inventory: found beside apps.shop.nodes, expected only"
    ):
        parse(raw(nodes=nodes, inventory={"kind": "toml", "path": "x"}), "f")


def test_what_the_inventory_does_not_tell_haproxy_may(tmp_path: Path) -> None:
    (tmp_path / "hosts.ini").write_text("[shop]\nweb1 ansible_host=10.0.0.1\n")
    config = load(configured(tmp_path, "hosts.ini"))

    def ports(*seen: Server) -> list[int]:
        found = resolve_nodes(nodes_of(config), seen, config.file, config.nodes_key("shop"))
        return [node.port for node in found]

    assert ports(server("web1")) == [8080]
    with pytest.raises(ConfigError, match=r"apps.shop.inventory.web1.port: missing, and HAProxy does not"):
        ports(server("web2"))


def test_a_password_in_an_address_is_not_shown(tmp_path: Path) -> None:
    text = "[shop]\nweb1 ansible_host=10.0.0.1 ansible_port=ssh://me:hunter2@h\n"
    said = refused(tmp_path, text, name="hosts.ini")
    assert "ssh://***@h" in said
    assert "hunter2" not in said
