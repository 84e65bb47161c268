"""apt, dnf and Ansible under load: two nodes each, the version read back from them, no request failed."""

import json
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from console.demo.load import Load
from console.demo.stack import Stack
from tests.integration.console_upgrades import upgrade_by_console
from tests.integration.under_load import resumed_under_load, rolled_back_under_load, upgraded_under_load
from tests.support.rollouts import (
    NEW,
    OLD,
    Run,
    assert_nothing_failed,
    rolldeck,
    started,
    states,
    upgrade,
    versions,
    world,
)
from tests.support.servers import deb_repository, rpm_repository
from tests.support.servers.deb_repository import DebRepository, call_there
from tests.support.servers.rpm_repository import RpmRepository

needs_apt = pytest.mark.skipif(bool(deb_repository.missing()), reason=deb_repository.missing())
needs_dnf = pytest.mark.skipif(bool(rpm_repository.missing()), reason=rpm_repository.missing())
needs_ansible = pytest.mark.skipif(shutil.which("ansible-playbook") is None, reason="needs ansible-playbook")
STEPS = ("drain", "stop", "install", "start", "verify")
PACKAGES = [pytest.param("apt", marks=needs_apt), pytest.param("dnf", marks=needs_dnf)]

# Roles often start the service that they have installed, and Rolldeck's own start then finds it up.
ROLE = """
- name: Link the release
  ansible.builtin.file:
    {src: "releases/{{ version }}", dest: "{{ folder }}/current", state: link, force: true}
  notify: [Start the service, Wait for its port]
"""
HANDLER = """
- name: Start the service
  ansible.builtin.command: {cmd: ./appctl start, chdir: "{{ folder }}"}
- name: Wait for its port
  ansible.builtin.wait_for: {host: 127.0.0.1, port: "{{ app_port }}", timeout: 10}
"""


def install_by(stack: Stack, install: str) -> None:
    """Replace the way in which the stack's configuration installs."""
    head, _, rest = stack.config_path.read_text().partition("[apps.shop.install]\n")
    stack.config_path.write_text(f"{head}{install}\n{rest[rest.index('[apps.shop.health]') :]}")


async def upgraded(stack: Stack) -> Run:
    """Under load; every node has the package, and runs it."""
    run = await upgraded_under_load(stack)
    assert run.ended["upgraded"] == list(stack.nodes)
    assert await versions(stack) == dict.fromkeys(stack.nodes, NEW)
    assert {state.admin for state in (await states(stack))["lb1"].values()} == {0}
    for node in stack.nodes.values():
        assert (node.directory / "current").readlink() == Path("releases", NEW)
    return run


@needs_apt
async def test_packages_of_apt(tmp_path: Path) -> None:
    async with apt_world(tmp_path) as stack:
        await upgraded(stack)


@asynccontextmanager
async def apt_world(folder: Path) -> AsyncIterator[Stack]:
    """Two nodes with the old package, and the new one in the repository since apt has looked."""
    (folder / "r").mkdir()
    repository = DebRepository(folder / "r")
    repository.publish(OLD)
    async with world(folder / "s", nodes=2, instances=1) as stack:
        text = stack.config_path.read_text()
        for name, node in stack.nodes.items():
            # The root directory of the packages of a node is its folder, in which its commands run.
            prefix = repository.prepare(node.directory)
            for arguments in ("update", f"install -y shop={OLD}"):
                call_there(prefix, "apt-get", *arguments.split())
            text = text.replace(f'ssh = "{name}"', f'ssh = "{name}", prefix = "{prefix}"')
        stack.config_path.write_text(text)
        install_by(stack, '[apps.shop.install]\nkind = "apt"\npackage = "shop"\n')
        repository.publish(NEW)  # after apt has looked
        yield stack


@pytest.mark.long  # test_dnf_installer.py installs them, too
@needs_dnf
async def test_packages_of_dnf(tmp_path: Path) -> None:
    async with dnf_world(tmp_path) as stack:
        await upgraded(stack)


@asynccontextmanager
async def dnf_world(folder: Path) -> AsyncIterator[Stack]:
    """Two nodes with the old package, and the new one in the repository since dnf has looked."""
    repository = RpmRepository(folder / "r")
    repository.publish(OLD)
    async with world(folder / "s", nodes=2, instances=1) as stack:
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
        yield stack


@asynccontextmanager
async def role_world(folder: Path) -> AsyncIterator[Stack]:
    """Two nodes, and a role that links the release and starts the service."""
    async with world(folder / "s", nodes=2, instances=1) as stack:
        write_playbook(folder, stack)
        yield stack


@needs_ansible
async def test_a_role_that_starts_the_service_itself(tmp_path: Path) -> None:
    async with role_world(tmp_path) as stack:
        run = await upgraded(stack)
    started = [event for event in run.events if event["event"] == "step_done" and event["step"] == "start"]
    assert [event["changed"] for event in started] == [False, False], started


@pytest.mark.long
@needs_ansible
async def test_a_role_by_the_console(tmp_path: Path) -> None:
    async with role_world(tmp_path) as stack:
        await upgrade_by_console(stack)
        assert await versions(stack) == dict.fromkeys(stack.nodes, NEW)


@pytest.mark.long
@needs_ansible
async def test_a_playbook_of_a_killed_rollout_is_finished_by_resume(tmp_path: Path) -> None:
    async with role_world(tmp_path) as stack:
        role = tmp_path / "roles/shop/tasks/main.yml"
        role.write_text("- ansible.builtin.command: {cmd: sleep 3}\n" + ROLE)
        async with Load(100, stack.frontends) as load:
            async with started(stack, "upgrade", "shop", NEW, "--yes", "--json") as running:
                await running.event("command_started", step="install")
                running.process.kill()
            resumed = await rolldeck(stack, "resume", "shop", "--yes", "--json")
            report = await load.stop()
        assert resumed.code == 0, resumed.text
        assert_nothing_failed(report, at_least=100)
        assert await versions(stack) == dict.fromkeys(stack.nodes, NEW)


@pytest.mark.long
@needs_ansible
async def test_a_role_that_starts_the_service_before_the_release_is_there(tmp_path: Path) -> None:
    """The right version is on disk, and the old one runs: it gets no traffic."""
    async with role_world(tmp_path) as stack:
        role = tmp_path / "roles/shop/tasks/main.yml"
        start = HANDLER + "- ansible.builtin.command: {cmd: sleep 1}\n"
        role.write_text(start + ROLE.replace("  notify: [Start the service, Wait for its port]\n", ""))
        async with Load(100, stack.frontends) as load:
            run = await upgrade(stack)
            report = await load.stop()
        assert run.code != 0
        assert_nothing_failed(report, at_least=100)
        assert await versions(stack) == dict.fromkeys(stack.nodes, OLD)
        assert [out["node"] for out in run.ended["out_of_rotation"]] == ["web1"]
        [failed] = [event for event in run.events if event["event"] == "node_failed"]
        assert failed["error"] == f"healthy, but {OLD} runs, expected {NEW}"


@pytest.mark.long
@pytest.mark.parametrize("packages", PACKAGES)
async def test_packages_by_the_console(tmp_path: Path, packages: str) -> None:
    async with WORLDS[packages](tmp_path) as stack:
        await upgrade_by_console(stack)
        assert await versions(stack) == dict.fromkeys(stack.nodes, NEW)


@pytest.mark.long
@pytest.mark.parametrize("packages", PACKAGES)
async def test_packages_go_back(tmp_path: Path, packages: str) -> None:
    async with WORLDS[packages](tmp_path) as stack:
        assert (await upgrade(stack)).code == 0
        await rolled_back_under_load(stack)
        assert await versions(stack) == dict.fromkeys(stack.nodes, OLD)


@pytest.mark.long
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("installer", [*PACKAGES, pytest.param("role", marks=needs_ansible)])
async def test_resumed_after_a_kill(tmp_path: Path, installer: str, step: str) -> None:
    """What the killed one has sent goes on on the node; its installer may still hold its lock."""
    async with WORLDS[installer](tmp_path) as stack:
        commands = ("stop", "install") if installer == "role" else ("stop", "install", "start")
        event = "command_started" if step in commands else "step_started"
        await resumed_under_load(stack, step, event=event)
        assert await versions(stack) == dict.fromkeys(stack.nodes, NEW)
        assert {state.admin for state in (await states(stack))["lb1"].values()} == {0}
        for node in stack.nodes.values():
            assert (node.directory / "current").readlink() == Path("releases", NEW)


def write_playbook(folder: Path, stack: Stack) -> None:
    """A playbook that reaches the nodes as the configuration of the stack does, by SSH."""
    for part, text in (("tasks", ROLE), ("handlers", HANDLER)):
        (folder / "roles/shop" / part).mkdir(parents=True)
        (folder / "roles/shop" / part / "main.yml").write_text(text)
    (folder / "site.yml").write_text("- {hosts: all, gather_facts: false, roles: [shop]}\n")
    hosts = "".join(
        f'{name} folder="{node.directory}" app_port={node.port}\n' for name, node in stack.nodes.items()
    )
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


WORLDS: dict[str, Callable[[Path], AbstractAsyncContextManager[Stack]]] = {
    "apt": apt_world,
    "dnf": dnf_world,
    "role": role_world,
}
