"""Units of a user's own systemd, with a real logind and a login by OpenSSH and PAM as on any machine."""

import contextlib
import shlex
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from console.demo.stack import Stack
from tests.integration.managed_nodes import PYTHON, UNIT, configure, log_of_a_version_that_dies
from tests.integration.under_load import resumed_under_load, rolled_back_under_load
from tests.support.login_user import NAME, NUMBER, open_folder
from tests.support.rollouts import NEW, OLD, rolldeck, states, tune, versions, world
from tests.support.servers.sshd import running_sshd
from tests.support.servers.systemd import Systemd, needs_systemd, running_systemd
from tests.support.stacks import kill_application
from tests.support.users import give

PARTS = [
    Path(file)
    for file in (
        "/lib/systemd/systemd-logind",
        "/usr/bin/dbus-daemon",
        "/lib/x86_64-linux-gnu/security/pam_systemd.so",
    )
]
pytestmark = [pytest.mark.long, needs_systemd]

USER = f"""\
echo '{NAME}:*:{NUMBER}:{NUMBER}::/home/{NAME}:/bin/sh' >>/etc/passwd
echo '{NAME}:x:{NUMBER}:' >>/etc/group
echo '{NAME}:*:20000::::::' >>/etc/shadow
install -d -o {NUMBER} /home/{NAME}
install -d /run/sshd /etc/systemd/user
cat >/etc/systemd/user/shop@.service
"""


@contextlib.asynccontextmanager
async def user_units() -> AsyncIterator[tuple[Stack, Systemd]]:
    """Two nodes, both units of the user of one machine, who may stay without being logged in."""
    with open_folder() as place:
        async with world(place / "s", nodes=2, instances=1, port_check_from="node") as stack:
            with running_systemd(place, stack.directory) as systemd:
                await into_units_of(systemd, stack)
                before = shlex.split(systemd.prefix)
                folder = stack.directory / "machine"
                with running_sshd(folder, before=before, user=NAME, extra=["UsePAM yes"]) as sshd:
                    text = stack.config_path.read_text()
                    for name in stack.nodes:
                        text = text.replace(f'ssh = "{name}"', f'ssh = "{sshd.alias}"')
                    stack.config_path.write_text(text)
                    own = {
                        "config": sshd.ssh_config,
                        "known_hosts": sshd.known_hosts,
                        "identity": sshd.client_key,
                    }
                    tune(stack, "ssh", **{key: str(path) for key, path in own.items()})
                    yield stack, systemd


async def into_units_of(systemd: Systemd, stack: Stack) -> None:
    unit = UNIT.format(directory=stack.directory, python=PYTHON)
    systemd.run("sh", "-c", USER, text=unit.replace("multi-user", "default"))
    systemd.systemctl("start", "dbus.service", "systemd-logind.service", "systemd-user-sessions.service")
    systemd.run("loginctl", "enable-linger", NAME)
    systemd.systemctl("start", f"user@{NUMBER}.service")
    own = ("setpriv", f"--reuid={NUMBER}", f"--regid={NUMBER}", "--clear-groups", "env")
    for name, node in stack.nodes.items():
        (node.directory / "port").write_text(f"PORT={node.port}\n")
        give(node.directory, NUMBER)
        kill_application(node)
        call = ("systemctl", "--user", "enable", "--quiet", "--now", f"shop@{name}")
        systemd.run(*own, f"XDG_RUNTIME_DIR=/run/user/{NUMBER}", *call)
    await stack.wait_until_up()
    configure(stack, "systemd", "shop@{node}.service", "user = true\n")


@pytest.mark.skipif(
    not all(part.exists() for part in PARTS), reason="needs logind, D-Bus and their PAM module"
)
async def test_units_of_a_user() -> None:
    async with user_units() as (stack, systemd):
        await resumed_under_load(stack, "start")
        assert await versions(stack) == dict.fromkeys(stack.nodes, NEW)
        await rolled_back_under_load(stack)
        assert await versions(stack) == dict.fromkeys(stack.nodes, OLD)
        assert {state.admin for state in (await states(stack))["lb1"].values()} == {0}

        words = "ends with that user's last login"
        assert words not in (await rolldeck(stack, "check", "shop", NEW)).text
        systemd.run("loginctl", "disable-linger", NAME)
        assert words in (await rolldeck(stack, "check", "shop", NEW)).text
        systemd.run("loginctl", "enable-linger", NAME)

        log = await log_of_a_version_that_dies(stack)
        assert 1 <= len(log) <= 2, "of the last run, and of the one before if systemd has started it again"
        assert set(log) == {"cannot read the configuration"}
