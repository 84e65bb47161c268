"""The real `ansible-inventory` and our own reader: the same nodes of static files, and what only it reads."""

import shutil
from pathlib import Path

import pytest

from backends.errors import ConfigError
from backends.file_trust import Writers
from backends.inventories.ansible.reader import AnsibleInventory, read_ansible
from backends.inventories.files import InventoryFile
from tests.support.ansible_files import BESIDE, STATIC, write

pytestmark = pytest.mark.skipif(shutil.which("ansible-inventory") is None, reason="needs ansible-inventory")

# ansible_user: vaulted, ansible_port: 2222, secret_word: hunter2hunter2; its password is in PASSWORD.
PASSWORD = "test-password"
VAULT = """\
$ANSIBLE_VAULT;1.1;AES256
66633931396130653930633431653064363365623230333736313162363161666664303538616363
6664326139333465356630643830396537663535613863360a666239653436333463613835643562
34653239643565366338636438353461663037363238643335323461353432383536643166376538
6661353764616632330a326430363866366561333364656430343865306635393733643664626632
31376162316639313836646334343536326564336330366261613234396366373038333138386630
62663864373932323939386433313839643639313636323764646336353734316564393365613935
35353535363630386234313535363239343934656539336361616563626161623861353861376163
35333966626364343336
"""
# Order of hosts, variables of groups, and what is a template in Ansible alone.
PROGRAM = """\
#!/bin/sh
echo 'the cloud is slow today' >&2
echo '{"shop": {"hosts": ["w9", "w1"], "vars": {"ansible_user": "deploy"}},
       "_meta": {"hostvars": {"w1": {"ansible_host": "10.0.0.1", "ansible_port": 2222}}}}'
"""
PLUGIN = """\
plugin: ansible.builtin.generator
hosts: {name: "{{ kind | upper }}-{{ number }}", parents: [{name: "{{ kind }}"}]}
layers: {kind: [web, api], number: [2, 1]}
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Ansible keeps files in the home folder."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ANSIBLE_DEPRECATION_WARNINGS", "0")
    return tmp_path / "home"


async def read(folder: Path, name: str, group: str, reader: str = "ansible") -> InventoryFile:
    settings = AnsibleInventory(path=name, group=group, reader=reader)  # type: ignore[arg-type]
    return await read_ansible(settings, folder, "config.toml", "apps.shop.inventory", Writers.own())


async def refused(folder: Path, name: str, group: str) -> str:
    with pytest.raises(ConfigError) as caught:
        await read(folder, name, group)
    return str(caught.value)


@pytest.mark.parametrize(("name", "text", "groups"), STATIC)
async def test_both_readers_say_the_same_of_static_inventories(
    tmp_path: Path, name: str, text: str, groups: str
) -> None:
    write(tmp_path, {**BESIDE, name: text})
    for group in groups.split():
        ours, theirs = await read(tmp_path, name, group, "builtin"), await read(tmp_path, name, group)
        assert list(theirs.nodes.items()) == list(ours.nodes.items()), group
        assert theirs.nodes, group
        assert (ours.reader, theirs.reader) == ("Rolldeck's own reader", "ansible-inventory")
        assert theirs.warnings == ()


async def test_what_the_vault_hides_is_used_and_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inventory = "[shop]\nweb1\n[odd]\nweb2 ansible_port='{{ secret_word }}'\n"
    write(tmp_path, {"hosts.ini": inventory, "group_vars/all/vault.yml": VAULT, "password": PASSWORD})
    said = await refused(tmp_path, "hosts.ini", "shop")
    assert said.startswith(
        f"config.toml: apps.shop.inventory.path: {tmp_path / 'hosts.ini'}: ansible-inventory fails:"
        " Attempting to decrypt but no vault secrets found"
    )
    assert said.endswith('; with reader = "builtin" it is read without Ansible')
    monkeypatch.setenv("ANSIBLE_VAULT_PASSWORD_FILE", str(tmp_path / "password"))
    listing = await read(tmp_path, "hosts.ini", "shop")
    assert listing.nodes == {"web1": {"address": "web1", "ssh_user": "vaulted", "ssh_port": 2222}}
    said = await refused(tmp_path, "hosts.ini", "odd")
    assert "web2.ansible_port: found a value that is not shown, as variables of this host come" in said
    assert "hunter2" not in said


async def test_a_program_says_which_nodes_there_are(tmp_path: Path) -> None:
    write(tmp_path, {"inventory": PROGRAM, "group_vars/shop.yml": "rolldeck_port: 8080\n"})
    (tmp_path / "inventory").chmod(0o755)
    listing = await read(tmp_path, "inventory", "shop")
    assert list(listing.nodes.items()) == [
        ("w9", {"address": "w9", "port": 8080, "ssh_user": "deploy"}),
        ("w1", {"address": "10.0.0.1", "port": 8080, "ssh_user": "deploy", "ssh_port": 2222}),
    ]
    assert listing.warnings == ("the cloud is slow today",)


async def test_a_plugin_says_which_nodes_there_are(tmp_path: Path) -> None:
    write(tmp_path, {"hosts.yml": PLUGIN})
    assert list((await read(tmp_path, "hosts.yml", "api")).nodes) == ["API-2", "API-1"]
    with pytest.raises(ConfigError, match="found the settings of an inventory plugin, expected groups"):
        await read(tmp_path, "hosts.yml", "api", "builtin")
