"""dnf and Ansible under load: each on two nodes, the version read back from the node, no request failed."""

import json
import shutil
from pathlib import Path

import pytest

from console.demo.load import Load
from console.demo.stack import Stack
from tests.integration.rollouts import (
    NEW,
    OLD,
    Run,
    assert_nothing_failed,
    states,
    upgrade,
    versions,
    world,
)
from tests.rpm_repository import RpmRepository, missing

# Roles often start the service that they have installed, and Rolldeck's own start then finds it up.
ROLE = """
- name: Link the release
  ansible.builtin.file:
    {src: "releases/{{ version }}", dest: "{{ folder }}/current", state: link, force: true}
  notify: Start the service
"""
HANDLER = """
- name: Start the service
  ansible.builtin.command: {cmd: ./appctl start, chdir: "{{ folder }}"}
"""


def install_by(stack: Stack, install: str) -> None:
    """Replace the way in which the stack's configuration installs."""
    head, _, rest = stack.config_path.read_text().partition("[apps.shop.install]\n")
    stack.config_path.write_text(f"{head}{install}\n{rest[rest.index('[apps.shop.health]') :]}")


async def upgraded_under_load(stack: Stack) -> Run:
    async with Load(100, stack.frontends) as load:
        run = await upgrade(stack)
        report = await load.stop()
    assert run.code == 0, run.text
    assert_nothing_failed(report, at_least=100)
    assert run.ended["upgraded"] == list(stack.nodes)
    assert await versions(stack) == dict.fromkeys(stack.nodes, NEW)
    assert {state.admin for state in (await states(stack))["lb1"].values()} == {0}
    for node in stack.nodes.values():
        assert (node.directory / "current").readlink() == Path("releases", NEW)
    return run


@pytest.mark.skipif(bool(missing()), reason=missing())
async def test_packages_of_dnf(tmp_path: Path) -> None:
    repository = RpmRepository(tmp_path / "r")
    repository.publish(OLD)
    async with world(tmp_path / "s", nodes=2, instances=1) as stack:
        for node in stack.nodes.values():
            # The root directory of the packages of a node is its folder, in which its commands run.
            text = (repository.here / "dnf.conf").read_text()
            settings = f"[main]\ninstallroot={node.directory}\n"
            (node.directory / "dnf.conf").write_text(text.replace("[main]\n", settings))
            (node.directory / ".rpmdb").symlink_to(f"{node.directory}{node.directory}/.rpmdb")
            conf = f"--config={node.directory}/dnf.conf"
            repository.call("env", f"HOME={node.directory}", "dnf", conf, "install", "-y", f"shop-{OLD}")
        install = 'kind = "dnf"\npackage = "shop"\noptions = "--config=./dnf.conf"\n'
        install_by(stack, f"[apps.shop.install]\n{install}")
        repository.publish(NEW)  # after dnf has looked
        await upgraded_under_load(stack)


@pytest.mark.skipif(shutil.which("ansible-playbook") is None, reason="needs ansible-playbook")
async def test_a_role_that_starts_the_service_itself(tmp_path: Path) -> None:
    async with world(tmp_path / "s", nodes=2, instances=1) as stack:
        write_playbook(tmp_path, stack)
        run = await upgraded_under_load(stack)
    started = [event for event in run.events if event["event"] == "step_done" and event["step"] == "start"]
    assert [event["changed"] for event in started] == [False, False], started


def write_playbook(folder: Path, stack: Stack) -> None:
    """A playbook that reaches the nodes as the configuration of the stack does, by SSH."""
    for part, text in (("tasks", ROLE), ("handlers", HANDLER)):
        (folder / "roles/shop" / part).mkdir(parents=True)
        (folder / "roles/shop" / part / "main.yml").write_text(text)
    (folder / "site.yml").write_text("- {hosts: all, gather_facts: false, roles: [shop]}\n")
    hosts = "".join(f'{name} folder="{node.directory}"\n' for name, node in stack.nodes.items())
    (folder / "hosts.ini").write_text(f"""{hosts}[all:vars]
ansible_python_interpreter=/usr/bin/python3
ansible_pipelining=true
ansible_ssh_common_args="-F {stack.directory}/ssh_config"
""")
    install_by(
        stack,
        f"""[apps.shop.install]
kind = "ansible"
playbook = "site.yml"
inventory = "hosts.ini"
directory = {json.dumps(str(folder))}

[apps.shop.version]
kind = "symlink"
path = "current"
""",
    )
