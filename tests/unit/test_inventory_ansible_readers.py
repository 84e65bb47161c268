"""`ansible-inventory` and our own reader: which one it is, when it is asked again, and that both agree."""

import asyncio
import os
import shlex
from pathlib import Path

import pytest

from backends.errors import ConfigError
from backends.file_trust import Writers
from backends.inventories.ansible.reader import AnsibleInventory, read_ansible
from tests.support.ansible_files import BESIDE, STATIC, write
from tests.support.users import OPS, give, needs_root
from tests.unit.test_inventory_ansible_command import INI, LISTING, Ansible

CAPTURED = Path(__file__).parent / "captured"


@pytest.fixture
def ansible(tmp_path: Path) -> Ansible:
    (tmp_path / "hosts.ini").write_text(INI)
    return Ansible(tmp_path)


async def test_it_is_asked_again_only_when_a_file_has_changed(ansible: Ansible) -> None:
    await asyncio.gather(*(ansible.read() for _ in range(3)))
    await ansible.read(group="all")
    assert ansible.calls == 1, "for all groups, and for several who ask at once"
    files = ["hosts.ini", "group_vars/shop.yml", "host_vars/web1/x.yml", "ansible.cfg"]
    for count, name in enumerate(files, 2):
        path = ansible.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{INI}\n" if name == "hosts.ini" else "")
        await ansible.read()
        assert ansible.calls == count, name
    (ansible.folder / "group_vars/shop.yml").unlink()
    await ansible.read()
    assert ansible.calls == 6


async def test_a_program_is_asked_again_after_some_seconds(
    ansible: Ansible, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr("backends.inventories.ansible.reader.monotonic", lambda: now)
    (ansible.folder / "cloud").write_text("#!/bin/sh\n")
    (ansible.folder / "cloud").chmod(0o755)
    for after, calls in ((0, 1), (9, 1), (2, 2)):
        now += after
        await ansible.read("cloud")
        assert ansible.calls == calls


@pytest.mark.parametrize(("name", "text", "groups"), STATIC)
async def test_what_ansible_has_printed_means_what_our_reader_reads(
    ansible: Ansible, name: str, text: str, groups: str
) -> None:
    """As captured from ansible-core 2.14; see tests/integration/test_ansible_inventory.py."""
    write(ansible.folder, {**BESIDE, name: text})
    ansible.prints((CAPTURED / f"ansible-2.14-{name}.json").read_text())
    for group in groups.split():
        theirs, ours = await ansible.read(name, group), await ansible.read(name, group, reader="builtin")
        assert list(theirs.nodes.items()) == list(ours.nodes.items()), group
        assert (theirs.reader, ours.reader) == ("ansible-inventory", "Rolldeck's own reader")


@pytest.mark.parametrize("text", ["[shop]\nh x", "all: [", "[shop]\nh[1:999999999]", "[shop]\nweb1:ssh\n"])
async def test_what_is_wrong_in_a_static_file_is_said_as_without_ansible(ansible: Ansible, text: str) -> None:
    (ansible.folder / "hosts.ini").write_text(text)
    said = await ansible.refused()
    assert said.startswith(f"{ansible.folder}/hosts.ini: line ")
    assert ansible.calls == 0


async def test_what_is_wrong_in_a_file_beside_it_is_said_as_without_ansible(ansible: Ansible) -> None:
    write(ansible.folder, {"group_vars/shop.yml": "a: 1\n b: {ansible_password: hunter2"})
    ansible.prints(LISTING, does="echo 'ERROR! Syntax Error while loading YAML.' >&2; exit 4")
    assert await ansible.refused() == (
        f"{ansible.folder}/group_vars/shop.yml: line 2: is not YAML: mapping values are not allowed in this"
        " context"
    )
    (ansible.folder / "group_vars/shop.yml").write_text("$ANSIBLE_VAULT;1.1;AES256\n6162\n")
    assert "ansible-inventory fails: Syntax Error while loading YAML." in await ansible.refused()


@pytest.mark.parametrize(
    "text",
    [
        "[shop]\nweb1 ansible_password=my hunter2",
        '[shop]\nweb1 ansible_password="hunter2',
        "[shop:vars]\nansible_password: hunter2",
    ],
)
async def test_an_error_about_a_line_shows_no_password(ansible: Ansible, text: str) -> None:
    (ansible.folder / "hosts.ini").write_text(text)
    said = await ansible.refused()
    assert "line 2: found a text that is not shown, expected " in said
    assert "hunter2" not in said


async def test_which_reader_it_is(ansible: Ansible, monkeypatch: pytest.MonkeyPatch) -> None:
    async def reader(**settings: str) -> str:
        whole = AnsibleInventory(path="hosts.ini", group="shop", **settings)  # type: ignore[arg-type]
        try:
            found = await read_ansible(whole, ansible.folder, "f", "apps.shop.inventory", Writers.own())
        except ConfigError as error:
            return str(error)
        return found.reader

    own, missing = "Rolldeck's own reader", str(ansible.folder / "nowhere")
    path = os.environ["PATH"]
    monkeypatch.setenv("PATH", "/nowhere")
    assert await reader() == own
    assert await reader(reader="builtin") == own
    assert await reader(reader="ansible") == (
        "f: apps.shop.inventory.reader: found 'ansible', but there is no ansible-inventory in the PATH"
    )
    found = f"f: apps.shop.inventory.program: found {missing!r}, which is not a program"
    assert await reader(program=missing) == await reader(program=missing, reader="ansible") == found
    monkeypatch.setenv("PATH", f"{ansible.path.parent}:{path}")
    assert await reader() == await reader(reader="ansible") == "ansible-inventory"
    assert await reader(reader="builtin", program=missing) == own
    ansible.path.write_text("#!/nowhere/python\n")
    (ansible.folder / "hosts.ini").write_text(f"{INI}\n")
    assert f"{ansible.path} cannot be started: No such file or directory" in await reader()


@pytest.mark.parametrize("seconds", [0, 0.5, 601])
def test_a_time_out_that_is_none(seconds: float) -> None:
    with pytest.raises(ValueError, match=f"timeout: found {seconds:g}, expected 1 to 600 seconds"):
        AnsibleInventory(path="x", group="g", timeout=seconds)


@needs_root
async def test_what_has_commands_run_is_looked_at_like_the_configuration(ansible: Ansible) -> None:
    seen = ansible.folder / "seen"
    ansible.prints(LISTING, does=f"echo $ANSIBLE_INVENTORY_ENABLED >{shlex.quote(str(seen))}")
    static, program, plugin = (ansible.folder / name for name in ("hosts.ini", "cloud", "cloud.yml"))
    program.write_text("#!/bin/sh\n")
    plugin.write_text("plugin: generator\n")
    program.chmod(0o755)
    for path in (static, program, plugin):
        await ansible.read(path.name)
        assert seen.read_text() == "\n", "whatever Ansible has enabled"
        give(path, 0, OPS).chmod(path.stat().st_mode & 0o777 | 0o020)
    await ansible.read("hosts.ini")
    assert seen.read_text() == "yaml,ini\n", "what runs nothing"
    for path, what in ((program, "a program"), (plugin, "the settings of a plugin")):
        assert await ansible.refused(path.name) == (
            f"f: apps.shop.inventory.path: {path} is not used: it is {what}, and {path} can be written by"
            f" group gid {OPS} (of root (uid 0), mode {path.stat().st_mode & 0o777:04o})"
        )
    assert ansible.calls == 4
    static.chmod(0o666)
    assert "can be written by everybody" in await ansible.refused()
    static.chmod(0o644)
    (ansible.folder / "host_vars").mkdir()
    (ansible.folder / "host_vars" / "web1").write_text("ansible_user: x\n")
    (ansible.folder / "host_vars" / "web1").chmod(0o666)
    assert "host_vars/web1 can be written by everybody" in await ansible.refused()
