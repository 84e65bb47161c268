"""Where the log of each kind of service is read, and by which commands."""

import msgspec
import pytest

from backends.command import Command
from backends.errors import NotAsked
from backends.kinds import ServiceSettings, make_service
from backends.services.command import CommandSettings
from backends.services.container import ContainerSettings
from backends.services.monit import LOG_LINES, MonitSettings
from backends.services.supervisor import SupervisorSettings
from backends.services.systemd import SystemdSettings
from tests.support.scripted_host import Answer, ScriptedHost

VALUES = {"app": "shop", "node": "web1", "address": "10.0.0.1", "port": "80", "service": "shop"}
SUDO = "sudo -n supervisorctl"
ABOUT_REAL = (
    "_SYSTEMD_UNIT=real.service + UNIT=real.service _UID=0"
    " + OBJECT_SYSTEMD_UNIT=real.service _UID=0 + COREDUMP_UNIT=real.service _UID=0"
)
CONTROL = """\
Runtime constants:
 Log file           = /var/log/monit.log

The service list contains the following entries:

Process Name          = shop
 Pid file             = /run/shop.pid
"""


def answer(command: Command) -> Answer:
    if "show" in command.argv:
        return Answer("ActiveState=active\nId=real.service\n")
    if "-v" in command.argv:
        return Answer(CONTROL)
    return Answer("one\ntwo 'shop' three\n")


async def line_of(settings: ServiceSettings, *, follow: bool = True) -> tuple[str, str]:
    """Its name for people, and the command."""
    host = ScriptedHost(answer)
    source = await make_service(settings, host, VALUES).log_source(7, follow=follow)
    assert source.ends is not follow or source.name == "log_command"
    return source.name, " ".join(source.command.argv)


@pytest.mark.parametrize(
    ("settings", "name", "follows", "ends"),
    [
        (
            SystemdSettings(name="nick"),
            "journal of real.service",
            f"journalctl --lines 7 --follow --no-hostname --no-pager {ABOUT_REAL}",
            f"journalctl --lines 7 --no-hostname --no-pager {ABOUT_REAL}",
        ),
        (
            SystemdSettings(name="nick", user=True, command="sudo -n /bin/systemctl"),
            "journal of real.service",
            "sudo -n /bin/journalctl --lines 7 --follow --no-hostname --no-pager --user-unit real.service",
            "sudo -n /bin/journalctl --lines 7 --no-hostname --no-pager --user-unit real.service",
        ),
        (
            SystemdSettings(name="shop", command="sudo -n systemctl", log="/var/log/{node} of {app}.log"),
            "/var/log/web1 of shop.log",
            "sudo -n tail -n 7 -F -- /var/log/web1 of shop.log",
            "sudo -n tail -n 7 -- /var/log/web1 of shop.log",
        ),
        (
            ContainerSettings(name="shop", engine="podman", engine_options="--root /r"),
            "podman logs shop",
            "podman --root /r logs --tail 7 --follow shop",
            "podman --root /r logs --tail 7 shop",
        ),
        (
            SupervisorSettings(name="shop", command=SUDO),
            "supervisorctl tail shop",
            f"sh -c {SUDO} tail -f shop stderr & exec {SUDO} tail -f shop stdout",
            f"sh -c {SUDO} tail -1400 shop stderr; {SUDO} tail -1400 shop stdout",
        ),
        (
            MonitSettings(name="shop", command="sudo -n monit -c /m"),
            "/var/log/monit.log",
            f"sudo -n tail -n {LOG_LINES} -F -- /var/log/monit.log",
            f"sudo -n tail -n {LOG_LINES} -- /var/log/monit.log",
        ),
        (
            CommandSettings(start="a", stop="b", status="c", log_command="logs {node} --tail={lines}"),
            "log_command",
            "sh -c logs web1 --tail=7",
            "sh -c logs web1 --tail=7",
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, msgspec.Struct) else None,
)
async def test_commands(settings: ServiceSettings, name: str, follows: str, ends: str) -> None:
    assert await line_of(settings) == (name, follows)
    assert await line_of(settings, follow=False) == (name, ends)


async def test_values_in_a_command_are_quoted() -> None:
    settings = CommandSettings(start="a", stop="b", status="c", log_command="logs {node}")
    values = {**VALUES, "node": "a b; reboot"}
    source = await make_service(settings, ScriptedHost(), values).log_source(7, follow=True)
    assert source.command == Command.shell("logs 'a b; reboot'")


async def test_a_log_that_nobody_knows_is_refused_with_the_key_that_helps() -> None:
    for settings in (CommandSettings(start="a", stop="b", status="c"), MonitSettings(name="shop")):
        service = make_service(settings, ScriptedHost(lambda _: Answer(exit_status=1)), VALUES)
        with pytest.raises(NotAsked, match=r"set `log`, its path"):
            await service.log_source(7, follow=True)


@pytest.mark.parametrize("kind", ["systemd", "monit", "supervisor", "container"])
@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"log": "shop.log"}, "log: found 'shop.log', expected an absolute path"),
        ({"log": "/a", "log_command": "b"}, "log: found beside log_command, expected only one of them"),
        ({"command": "'"}, "closed quotes"),
    ],
)
def test_errors(kind: str, keys: dict[str, str], problem: str) -> None:
    if kind == "container" and "command" in keys:
        keys = {"engine_options": "'"}
    with pytest.raises(msgspec.ValidationError, match=problem):
        msgspec.convert({"kind": kind, "name": "shop", **keys}, ServiceSettings)


@pytest.mark.parametrize(
    "settings",
    [
        SystemdSettings(name="shop", log="/l"),
        MonitSettings(name="shop", log="/l"),
        SupervisorSettings(name="shop", log="/l"),
        ContainerSettings(name="shop", log="/l"),
        CommandSettings(start="a", stop="b", status="c", log="/l"),
        CommandSettings(start="a", stop="b", status="c", log_command="x"),
    ],
    ids=lambda settings: type(settings).__name__,
)
async def test_after_a_failure_the_last_lines_are_of_the_configured_log(settings: ServiceSettings) -> None:
    host = ScriptedHost(answer)
    assert await make_service(settings, host, VALUES).last_lines() == ("one", "two 'shop' three")
    assert len(host.ran) == 1
    refusing = ScriptedHost(answer, refusal=lambda _: "a password is required")
    assert await make_service(settings, refusing, VALUES).last_lines() == ()


async def test_a_line_of_a_container_keeps_its_place_whatever_it_contains() -> None:
    """A part of it behind a character at which some split lines would have no time stamp."""
    output = "T3 last\nT1 10 %\r20 %\u2028done\n"
    host = ScriptedHost(lambda _: Answer(output, "T2 error\n"))
    service = make_service(ContainerSettings(name="shop"), host, VALUES)
    assert await service.last_lines() == ("10 %", "20 %", "done", "error", "last")
