"""The real ansible-playbook with a role, on hosts that are reached here, and one that is not."""

import os
import shutil
from pathlib import Path

import pytest

from backends.errors import Refused
from backends.hosts.local import LocalHost
from backends.installers.ansible import AnsibleInstall
from backends.installers.versions import SymlinkVersion
from backends.kinds import make_installer
from backends.node_state import Availability, Presence
from backends.protocols import Installer

pytestmark = pytest.mark.skipif(shutil.which("ansible-playbook") is None, reason="needs ansible-playbook")

# Ansible's own files stay in the test's folder: they would go to the home of the user who runs the tests.
# The addresses are no names of hosts: only Ansible's own inventory says what is what.
INVENTORY = """[web]
web1
web2
[web:vars]
ansible_connection=local
ansible_python_interpreter=/usr/bin/python3
ansible_remote_tmp={{ folder }}/remote
[away]
web3 ansible_host=127.0.0.1 ansible_port=1 ansible_ssh_common_args="-F none"
[db]
db1
"""
ROLE = """
- name: Link the release
  ansible.builtin.file:
    src: releases/{{ version }}
    dest: "{{ folder }}/{{ inventory_hostname }}"
    state: link
    force: true
- name: Migrate the database
  ansible.builtin.command: {argv: [sh, -c, "echo half of it; echo the disk is full >&2; exit 3"]}
  when: version == "1.6.0"
"""
PLAYBOOKS = {
    "site.yml": "- {hosts: 'web:away', gather_facts: false, roles: [shop]}",
    "db.yml": "- {hosts: db, gather_facts: false, roles: [shop]}",
    "no_role.yml": "- {hosts: web, gather_facts: false, roles: [nowhere]}",
    "no_module.yml": "- {hosts: web, gather_facts: false, tasks: [{nowhere.at.all: {a: 1}}]}",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "hosts.ini").write_text(INVENTORY)
    (tmp_path / "roles/shop/tasks").mkdir(parents=True)
    (tmp_path / "roles/shop/tasks/main.yml").write_text(ROLE)
    for name, text in PLAYBOOKS.items():
        (tmp_path / name).write_text(text)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def ansible(
    folder: Path, node: str = "web1", playbook: str = "site.yml", limit: str = "{node}", options: str = ""
) -> Installer:
    settings = AnsibleInstall(
        playbook=playbook,
        inventory="hosts.ini",
        limit=limit,
        directory=str(folder),
        extra={"folder": str(folder)},
        options=options,
    )
    version = SymlinkVersion(path=f"{folder}/{node}")
    host = LocalHost(node)
    return make_installer(settings, version, host=host, console=LocalHost("here"), values={"node": node})


async def test_a_role_that_installs_and_one_that_fails_half_way(folder: Path) -> None:
    node = ansible(folder)
    assert await node.installed() is None
    await node.install("1.5.0")
    assert await node.installed() == "1.5.0"
    assert not (folder / "web2").is_symlink(), "another node was touched"
    with pytest.raises(Refused) as caught:
        await node.install("1.6.0")
    words = "exit status 2: task 'shop : Migrate the database': non-zero return code; the disk is full"
    assert caught.value.problem == f"install 1.6.0: {words}; half of it"


async def test_no_option_makes_it_the_playbook_of_another_node(folder: Path) -> None:
    """Which may be serving: Ansible takes the last `--limit`, and the last value of a variable."""
    node = ansible(folder, options="-vl web2 -e version=9")
    await node.install("1.5.0")
    assert await node.installed() == "1.5.0"
    assert not (folder / "web2").is_symlink(), "another node was touched"
    for options in ("-l web2", "-lweb2", "--limit web2", "--lim=web2"):
        with pytest.raises(ValueError, match="expected key `limit` in its place"):
            ansible(folder, options=f"--become {options}")


async def test_a_host_that_cannot_be_reached(folder: Path) -> None:
    words = "exit status 4: task 'shop : Link the release': Failed to connect to the host via ssh"
    with pytest.raises(Refused, match=f"{words}.*refused"):
        await ansible(folder, "web3").install("1.5.0")


@pytest.mark.parametrize(
    ("node", "playbook", "limit", "problem"),
    [
        ("web9", "site.yml", "{node}", "leaves us with no hosts to target"),
        ("web", "site.yml", "{node}", "the limit 'web' is 2 hosts for Ansible (web1, web2); expected one"),
        ("web1", "db.yml", "{node}", "no play of the playbook is for a host of the limit 'web1'"),
        ("web1", "no_role.yml", "{node}", "the role 'nowhere' was not found"),
        pytest.param(
            *("web1", "no_module.yml", "{node}", "couldn't resolve module/action 'nowhere.at.all'"),
            marks=pytest.mark.long,
        ),
        pytest.param(
            *("web1", "missing.yml", "{node}", "the playbook: missing.yml could not be found"),
            marks=pytest.mark.long,
        ),
        ("web1", "site.yml", "{node},web2", None),
    ],
)
async def test_what_is_known_before(
    folder: Path, node: str, playbook: str, limit: str, problem: str | None
) -> None:
    found = await ansible(folder, node, playbook, limit).check_availability("1.5.0")
    expected = Presence.NOT_KNOWN if problem is None else Presence.NOT_THERE
    assert found.presence is expected, found
    assert (problem or "Ansible cannot tell which versions there are") in found.detail
    assert not any((folder / name).is_symlink() for name in ("web1", "web2")), "looking has changed something"


async def test_a_play_for_nobody_succeeds_and_changes_nothing(folder: Path) -> None:
    """Which is why the version is read back."""
    node = ansible(folder, playbook="db.yml")
    await node.install("1.5.0")
    assert await node.installed() is None


@pytest.mark.parametrize("directory", ["", "/"])
async def test_without_ansible(directory: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for program in ("sh", "env"):
        (tmp_path / program).symlink_to(str(shutil.which(program)))
    monkeypatch.setenv("PATH", os.fspath(tmp_path))
    settings = AnsibleInstall(playbook="site.yml", directory=directory)
    host = LocalHost("web1")
    installer = make_installer(
        settings, SymlinkVersion(path="/x"), host=host, console=host, values={"node": "a"}
    )
    found: Availability = await installer.check_availability("1.5.0")
    assert found.presence is Presence.NOT_THERE
    assert "ansible-playbook" in found.detail
