"""How `ansible-inventory` is called, and what is made of what it prints; its part is played by a script."""

import asyncio
import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import pytest

from backends.errors import ConfigError
from backends.file_trust import Writers
from backends.inventories.ansible import command
from backends.inventories.ansible.reader import AnsibleInventory, read_ansible
from backends.inventories.files import InventoryFile
from tests.support.ansible_files import write
from tests.support.wait import until
from tests.unit.inventories import findings_of

INI = "[shop]\nweb1\nweb2\n"
LISTING: Mapping[str, object] = {
    "_meta": {"hostvars": {"web1": {"ansible_user": "deploy"}}},
    "all": {"children": ["ungrouped", "shop"]},
    "shop": {"hosts": ["web1", "web2"]},
}


class Ansible:
    """A program that prints this listing, and does before whatever a test wants of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "bin" / "ansible-inventory"
        self.path.parent.mkdir()
        self.prints(LISTING)

    def prints(self, listing: object, *, does: str = "") -> None:
        text = listing if isinstance(listing, str) else json.dumps(listing)
        (self.folder / "listing").write_text(text)
        words = f"echo called >>{shlex.quote(str(self.folder / 'calls'))}\n{does}\n"
        self.path.write_text(f"#!/bin/sh\n{words}cat {shlex.quote(str(self.folder / 'listing'))}\n")
        self.path.chmod(0o755)

    @property
    def calls(self) -> int:
        calls = self.folder / "calls"
        return len(calls.read_text().splitlines()) if calls.exists() else 0

    async def read(
        self,
        name: str = "hosts.ini",
        group: str = "shop",
        timeout: float = 60.0,
        reader: Literal["auto", "builtin"] = "auto",
    ) -> InventoryFile:
        settings = AnsibleInventory(
            path=name, group=group, program=str(self.path), timeout=timeout, reader=reader
        )
        return await read_ansible(settings, self.folder, "f", "apps.shop.inventory", Writers.own())

    async def refused(self, name: str = "hosts.ini", group: str = "shop", timeout: float = 60.0) -> str:
        with pytest.raises(ConfigError) as caught:
            await self.read(name, group, timeout)
        return str(caught.value)


@pytest.fixture
def ansible(tmp_path: Path) -> Ansible:
    (tmp_path / "hosts.ini").write_text(INI)
    return Ansible(tmp_path)


async def test_it_is_called_with_what_the_operator_has_and_logs_nothing(
    ansible: Ansible, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONSUL_HTTP_TOKEN", "hunter2")
    monkeypatch.setenv("ANSIBLE_VAULT_PASSWORD_FILE", "/there")
    monkeypatch.setenv("ANSIBLE_LOG_PATH", "/var/log/ansible.log")
    monkeypatch.setenv("ANSIBLE_INVENTORY_ENABLED", "script")
    seen = ansible.folder / "seen"
    ansible.prints(LISTING, does=f'{{ env; echo "cwd=$PWD"; echo "argv=$*"; }} >{shlex.quote(str(seen))}')
    await ansible.read()
    lines = set(seen.read_text().splitlines())
    assert f"argv=--inventory={ansible.folder}/hosts.ini --list" in lines
    assert {"cwd=/", "ANSIBLE_VAULT_PASSWORD_FILE=/there", "ANSIBLE_LOG_PATH=/dev/null"} <= lines
    assert {"ANSIBLE_INVENTORY_ENABLED=script", "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED=1"} <= lines
    assert "hunter2" not in seen.read_text()
    assert "ANSIBLE_CONFIG=" not in seen.read_text()


async def test_its_configuration_is_the_one_beside_the_inventory(
    ansible: Ansible, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = ansible.folder / "seen"
    ansible.prints(LISTING, does=f"echo $ANSIBLE_CONFIG >{shlex.quote(str(seen))}")
    (ansible.folder / "ansible.cfg").write_text("[defaults]\n")
    assert (await ansible.read()).warnings == ()
    assert seen.read_text().strip() == str(ansible.folder / "ansible.cfg")
    (ansible.folder / "ansible.cfg").chmod(0o666)
    (warning,) = (await ansible.read()).warnings
    assert warning.startswith(f"{ansible.folder}/ansible.cfg is not used: ")
    assert "can be written by everybody" in warning
    assert seen.read_text().strip() == ""
    monkeypatch.setenv("ANSIBLE_CONFIG", "/own")
    (ansible.folder / "hosts.ini").write_text(INI + "\n")
    assert (await ansible.read()).warnings == ()
    assert seen.read_text().strip() == "/own"


async def test_marks_of_its_json_are_no_values(ansible: Ansible) -> None:
    web1: dict[str, object] = {
        "ansible_host": {"__ansible_unsafe": "10.0.0.1"},
        "rolldeck_servers": [{"__ansible_unsafe": "s1"}, "s2"],
        "ansible_password": {"__ansible_vault": "$ANSIBLE_VAULT;1.1;AES256\n6162\n"},
        "other": float("inf"),
        "long": 10**400,
    }
    ansible.prints({**LISTING, "_meta": {"hostvars": {"web1": web1}}})
    assert (await ansible.read()).nodes["web1"] == {"address": "10.0.0.1", "servers": ["s1", "s2"]}

    async def refused(**variables: object) -> str:
        (ansible.folder / "hosts.ini").write_text(f"{INI}# {variables}\n")
        ansible.prints({**LISTING, "_meta": {"hostvars": {"web1": {**web1, **variables}}}})
        return (await ansible.refused()).removeprefix(f"{ansible.folder}/hosts.ini: web1.")

    vault = {"__ansible_vault": "x"}
    assert await refused(ansible_user=vault) == (
        "ansible_user: is encrypted with Ansible's vault, expected a plain value"
    )
    found = await refused(ansible_host={"__ansible_unsafe": "{{ other }}"})
    assert found.startswith("ansible_host: '{{ other }}' cannot be used")
    found = await refused(ansible_host="{{ ansible_password }}", ansible_password="hunter2")
    assert found == (
        "ansible_host: found '{{ ansible_password }}', but ansible_password is a password, which is not shown"
    )


@pytest.mark.parametrize(
    "variables",
    [
        {"ansible_host": "hunter2 x"},
        {"ansible_port": "hunter2"},
        {"ansible_user": {"__ansible_unsafe": "hunter2 x"}},
        {"ansible_connection": "hunter2"},
        {"ansible_port": "{{ hunter2 + 1 }}"},
        {"ansible_port": "{{ a }}", "a": "{{ hunter2 | lower }}"},
        {"ansible_user": "a", "ansible_ssh_user": "hunter2"},
    ],
)
async def test_where_a_file_was_encrypted_errors_show_no_values(
    ansible: Ansible, variables: dict[str, object]
) -> None:
    write(ansible.folder, {"group_vars/all": "$ANSIBLE_VAULT;1.1;AES256\n6162\n"})
    ansible.prints({**LISTING, "_meta": {"hostvars": {"web2": variables}}})
    said = await ansible.refused()
    assert said.startswith(f"{ansible.folder}/hosts.ini: web2.ansible_")
    assert "a value that is not shown, as variables of this host come from an encrypted file" in said
    assert "hunter2" not in said


@pytest.mark.parametrize(
    "listing",
    [
        *("", "nonsense", "[]", "3", "[" * 100_000, '{"shop": 3}', '{"shop": {"hosts": 3}}'),
        *('{"shop": {"hosts": [1]}}', '{"_meta": 3}', '{"_meta": {"hostvars": {"a": []}}}'),
        '{"a": ' + "9" * 5000 + "}",
    ],
)
async def test_what_is_no_listing_is_an_error(ansible: Ansible, listing: str) -> None:
    ansible.prints(listing)
    assert await ansible.refused() == (
        f"f: apps.shop.inventory.path: {ansible.folder}/hosts.ini: ansible-inventory fails:"
        ' it has not printed the JSON of an inventory; with reader = "builtin" it is read without Ansible'
    )


async def test_a_listing_without_end_is_not_kept(ansible: Ansible, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "_MOST_OUTPUT", 100_000)
    ansible.prints(LISTING, does="head -c 500000 /dev/zero")
    assert "it has printed more than 100,000 bytes" in await ansible.refused()


async def test_groups_that_are_not_there_or_contain_each_other(ansible: Ansible) -> None:
    said = await ansible.refused(group="shp")
    assert said.endswith("hosts.ini: no group 'shp'; did you mean 'shop'? there is: all, shop, ungrouped")
    (ansible.folder / "hosts.ini").write_text(f"{INI}\n")
    ansible.prints({"shop": {"children": ["a"]}, "a": {"children": ["shop"]}})
    assert "groups contain each other: shop → a → shop" in await ansible.refused()
    (ansible.folder / "hosts.ini").write_text(f"{INI}\n\n")
    ansible.prints({"shop": {"hosts": [f"w{number}" for number in range(20_001)]}})
    assert (await ansible.refused()).endswith("found 20001 hosts, expected at most 20000")


async def test_its_words_come_through_in_short_and_without_lines_of_a_file(ansible: Ansible) -> None:
    said = """\
[DEPRECATION WARNING]: something old
[WARNING]:  * Failed to parse /x/group_vars/shop.yml with auto plugin: We were unable
to read either as JSON nor YAML  The error appears to be in
'/x/group_vars/shop.yml': line 1, column 70, but may be elsewhere.  The offending line appears to be:
all: {hosts: {b: , a: {ansible_password: hunter2, bad: [}}}
^ here
ERROR! Completely failed to parse inventory source https://me:hunter3@example.com/x
"""
    ansible.prints(LISTING, does=f"printf %s {shlex.quote(said)} >&2; exit 1")
    found = await ansible.refused()
    assert found == (
        f"f: apps.shop.inventory.path: {ansible.folder}/hosts.ini: ansible-inventory fails:"
        " Failed to parse /x/group_vars/shop.yml with auto plugin: We were unable to read either as JSON nor"
        " YAML The error appears to be in '/x/group_vars/shop.yml': line 1, column 70, but may be elsewhere.;"
        " Completely failed to parse inventory source https://***@example.com/x;"
        ' with reader = "builtin" it is read without Ansible'
    )
    ansible.prints(LISTING, does="exit 3")
    assert "ansible-inventory fails: exit status 3, without a word; " in await ansible.refused()
    newer = "[ERROR]: YAML parsing failed: no end Origin: /x:1:70 1 all: {ansible_password: hunter2"
    ansible.prints(LISTING, does=f"echo {shlex.quote(newer)} >&2; exit 4")
    assert "fails: YAML parsing failed: no end; " in await ansible.refused()
    ansible.prints(LISTING, does="head -c 300000 /dev/zero | tr '\\0' x >&2; exit 4")
    assert len(await ansible.refused()) < 1200


async def test_its_warnings_are_findings_of_preflight(ansible: Ansible) -> None:
    warnings = "".join(f"[WARNING]: number {number}\n with two lines\n" for number in range(7))
    ansible.prints(LISTING, does=f"printf %s {shlex.quote(warnings + '[DEPRECATION WARNING]: old')} >&2")
    listing = await ansible.read()
    shown = (*(f"number {number} with two lines" for number in range(5)), "and 2 more warnings")
    assert (listing.reader, listing.warnings) == ("ansible-inventory", shown)
    found = await findings_of(ansible.folder, "hosts.ini", program=str(ansible.path))
    path = ansible.folder / "hosts.ini"
    assert found[0] == ("info", f"{path} was read by ansible-inventory")
    assert found[1:] == [("warning", f"{path}: {warning}") for warning in shown]
    found = await findings_of(ansible.folder, "hosts.ini", reader="builtin")
    assert found == [("info", f"{path} was read by Rolldeck's own reader")]


async def test_one_that_does_not_end_is_ended_with_its_children(ansible: Ansible) -> None:
    child = ansible.folder / "child"
    ansible.prints(LISTING, does=f"sleep 600 & echo $! >{shlex.quote(str(child))}; wait")
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.05)
            ticks += 1

    ticking = asyncio.create_task(tick())
    said = await ansible.refused(timeout=1)
    ticking.cancel()
    path = ansible.folder / "hosts.ini"
    assert said == f"f: apps.shop.inventory.timeout: ansible-inventory has not read {path} within 1 s"
    assert ticks > 3, "the event loop goes on meanwhile"
    await gone(int(child.read_text()))
    child.unlink()
    reading = asyncio.create_task(ansible.read())

    async def has_started() -> bool:
        return child.exists() and bool(child.read_text().strip())

    await until(has_started, 60)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    await gone(int(child.read_text()))


async def gone(pid: int) -> None:
    """Wait for the end of somebody else's child."""

    async def is_gone() -> bool:
        return not is_running(pid)

    await until(is_gone, 60)


def is_running(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and ") Z " not in stat.read_text()
