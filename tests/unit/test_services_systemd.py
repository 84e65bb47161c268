"""systemd: what `systemctl show` of several versions prints is written down here."""

import json

import pytest

from backends.command import Command
from backends.errors import PermissionDenied, Refused, UnreadableReply
from backends.node_state import Activity, ServiceState
from backends.services.systemd import SystemdService, SystemdSettings
from backends.services.systemd_journal import journalctl
from backends.services.systemd_unit import PROPERTIES as READ
from backends.services.systemd_unit import (
    parse_show,
    state_of,
)
from tests.support.scripted_host import Answer, ScriptedHost

# v247 prints properties in its own order, and no Job when there is none.
RUNNING = """\
MainPID=812
ControlPID=0
Result=success
LoadState=loaded
ActiveState=active
SubState=running
NeedDaemonReload=no
"""

# v252: a Java process ends with 143 on SIGTERM, which is a failure unless the unit says otherwise.
STOPPED_WITH_143 = """\
MainPID=0
ControlPID=0
Result=exit-code
LoadState=loaded
ActiveState=failed
SubState=failed
NeedDaemonReload=no
"""

# v255: asked to start after that, and not begun yet.
START_QUEUED = STOPPED_WITH_143 + "Job=4711\n"


def shown(active: str, sub: str, **more: str) -> dict[str, str]:
    usual = {"LoadState": "loaded", "MainPID": "0", "ControlPID": "0", "Result": "success"}
    return {**usual, "ActiveState": active, "SubState": sub, **more}


def service(answer: Answer, user: bool = False) -> tuple[SystemdService, ScriptedHost]:
    host = ScriptedHost(lambda _: answer)
    settings = SystemdSettings(name="shop@{node}.service", user=user)
    return SystemdService(host, settings, {"node": "web1"}), host


def test_commands() -> None:
    systemd, _ = service(Answer())
    unit = "shop@web1.service"
    assert systemd.stop_command() == Command(("systemctl", "--no-block", "stop", "--", unit))
    assert systemd.start_command() == Command(("systemctl", "--no-block", "start", "--", unit))
    assert systemd.state_command() == Command(
        ("systemctl", "show", f"--property={','.join(READ)}", "--", unit)
    )


def test_commands_for_the_users_own_systemd() -> None:
    systemd, _ = service(Answer(), user=True)
    assert systemd.stop_command().argv[:3] == ("systemctl", "--user", "--no-block")
    assert systemd.state_command().argv[:3] == ("systemctl", "--user", "show")


def test_it_may_be_called_otherwise() -> None:
    systemd = SystemdService(ScriptedHost(), SystemdSettings(name="shop", command="sudo -n systemctl"), {})
    assert systemd.stop_command().argv == ("sudo", "-n", "systemctl", "--no-block", "stop", "--", "shop")
    for wrong in ("", " ", "sudo '"):
        with pytest.raises(ValueError, match="command: found"):
            SystemdSettings(name="shop", command=wrong)


def test_parse_show_keeps_what_is_after_the_first_equals_sign() -> None:
    assert parse_show("A=b=c\nnoise\nD=\n") == {"A": "b=c", "D": ""}


@pytest.mark.parametrize(
    ("text", "state"),
    [
        (RUNNING, ServiceState(Activity.RUNNING, 812, "active (running)")),
        (
            STOPPED_WITH_143,
            ServiceState(Activity.FAILED, None, "failed (failed), result exit-code"),
        ),
        (
            START_QUEUED,
            ServiceState(Activity.CHANGING, None, "failed (failed), result exit-code, a job is queued"),
        ),
    ],
)
async def test_states_as_printed(text: str, state: ServiceState) -> None:
    systemd, host = service(Answer(text))
    assert await systemd.state() == state
    assert host.recorded == []


@pytest.mark.parametrize(
    ("properties", "activity", "pid"),
    [
        (shown("inactive", "dead"), Activity.STOPPED, None),
        (shown("active", "exited"), Activity.RUNNING, None),
        (shown("reloading", "reload", MainPID="9"), Activity.CHANGING, 9),
        (shown("activating", "start-pre", ControlPID="8"), Activity.CHANGING, None),
        (shown("activating", "auto-restart", Result="exit-code"), Activity.CHANGING, None),
        (shown("deactivating", "stop-sigterm", MainPID="9"), Activity.CHANGING, 9),
        (shown("inactive", "dead", LoadState="masked"), Activity.STOPPED, None),
        (shown("inactive", "dead", Job="7"), Activity.CHANGING, None),
        (shown("active", "running", MainPID="9", Job=""), Activity.RUNNING, 9),
        # The package is being replaced: the unit file is gone and the process is not.
        (shown("active", "running", MainPID="9", LoadState="not-found"), Activity.RUNNING, 9),
    ],
)
def test_states(properties: dict[str, str], activity: Activity, pid: int | None) -> None:
    state = state_of(properties)
    assert (state.activity, state.pid) == (activity, pid)
    assert state.detail.startswith(f"{properties['ActiveState']} ({properties['SubState']})")


def test_the_detail_says_that_a_reload_is_needed() -> None:
    state = state_of(shown("active", "running", NeedDaemonReload="yes"))
    assert "needs systemctl daemon-reload" in state.detail


NOT_BOOTED = (
    "System has not been booted with systemd as init system (PID 1). Can't operate.\n"
    "Failed to connect to bus: Host is down\n"
)


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (
            Answer("LoadState=not-found\nActiveState=inactive\nSubState=dead\n"),
            Refused,
            "systemd has no unit shop@web1.service",
        ),
        (Answer("", NOT_BOOTED, 1), UnreadableReply, "not been booted"),
        (Answer("", "sh: systemctl: not found\n", 127), UnreadableReply, "not found"),
        (Answer(""), UnreadableReply, "no output"),
        (Answer("ActiveState=confused\n"), UnreadableReply, "confused"),
    ],
)
async def test_states_that_cannot_be_told(answer: Answer, error: type[Exception], words: str) -> None:
    systemd, _ = service(answer)
    with pytest.raises(error, match=words):
        await systemd.state()


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ("Failed to start shop@web1.service: Unit shop@web1.service not found.\n", Refused),
        ("Failed to start shop@web1.service: Unit shop@web1.service is masked.\n", Refused),
        ("Failed to start x: Interactive authentication required.\n", PermissionDenied),
        ("Failed to start x: Access denied\nSee system logs for details.\n", PermissionDenied),
    ],
)
async def test_refusals_carry_the_words(said: str, error: type[Exception]) -> None:
    systemd, host = service(Answer("", said, 4))
    with pytest.raises(error, match=r"start shop@web1\.service: exit status 4: Failed to start"):
        await systemd.start()
    assert host.recorded == [systemd.start_command()]


async def test_stop_only_asks() -> None:
    systemd, host = service(Answer())
    await systemd.stop()
    assert host.ran == [systemd.stop_command()]


@pytest.mark.parametrize(
    "text", [STOPPED_WITH_143, RUNNING.replace("active\n", "inactive\n") + "NRestarts=4\n"]
)
async def test_the_starts_of_a_version_that_died_are_forgotten_before_the_next(text: str) -> None:
    systemd, host = service(Answer(text))
    await systemd.start()
    assert host.recorded == [systemd.reset_command(), systemd.start_command()]


async def test_a_changed_unit_file_is_read_before_the_start() -> None:
    text = RUNNING.replace("NeedDaemonReload=no", "NeedDaemonReload=yes")
    systemd, host = service(Answer(text))
    await systemd.start()
    assert host.recorded == [systemd.reload_command(), systemd.start_command()]
    refused = Answer(text, "Failed to reload daemon: Access denied", 1)
    host = ScriptedHost(lambda command: refused if "daemon-reload" in command.argv else Answer(text))
    with pytest.raises(
        PermissionDenied, match=r"whose unit file has changed: systemctl daemon-reload: .*denied"
    ):
        await SystemdService(host, SystemdSettings(name="shop"), {}).start()


async def test_nothing_is_forgotten_of_one_that_never_died() -> None:
    systemd, host = service(Answer(RUNNING + "NRestarts=0\n"))
    await systemd.start()
    assert host.recorded == [systemd.start_command()]


async def test_the_last_lines_are_those_of_the_journal() -> None:
    systemd, _ = service(Answer(entries(*(("", f"line {number}") for number in range(9)))))
    assert await systemd.last_lines() == ("line 4", "line 5", "line 6", "line 7", "line 8")
    refused, _ = service(Answer("", "No journal files were opened due to insufficient permissions.\n", 1))
    assert await refused.last_lines() == ()


RUN, RUN_BEFORE, OLD_RUN = "0123456789abcdef" * 2, "fedcba9876543210" * 2, "00112233445566778899" + "0" * 12
RESTART = "MESSAGE_ID=5eb03494b6584870a536b337290809b3"
OWN = "--all _SYSTEMD_UNIT=shop.service"
RUNS = f"InvocationID={RUN}\nNRestarts="
AGAIN = f"UNIT=shop.service _UID=0 {RESTART}"
WHOLE = (
    "_SYSTEMD_UNIT=shop.service + UNIT=shop.service _UID=0 + OBJECT_SYSTEMD_UNIT=shop.service _UID=0"
    " + COREDUMP_UNIT=shop.service _UID=0"
)


def entries(*lines: tuple[str, object]) -> str:
    """What journalctl writes as JSON, of these runs and messages, a microsecond from one to the next."""
    found = []
    for number, (run, message) in enumerate(lines):
        entry = {"__MONOTONIC_TIMESTAMP": str(number), "MESSAGE": message}
        found.append(entry | ({"_SYSTEMD_INVOCATION_ID": run} if run else {}))
    return "".join(f"{json.dumps(entry, ensure_ascii=False)}\n" for entry in found)


@pytest.mark.parametrize(
    ("more", "restart", "user", "calls"),
    [
        ("", "", False, [OWN, WHOLE]),
        (f"{RUNS}0\n", "", False, [OWN, WHOLE]),
        (
            f"{RUNS}2\n",
            "",
            False,
            [AGAIN, OWN, WHOLE],
        ),
        (
            f"{RUNS}2\n",
            "",
            True,
            [
                f"--user-unit shop.service {RESTART}",
                "--all _SYSTEMD_USER_UNIT=shop.service",
                "--user-unit shop.service",
            ],
        ),
    ],
)
async def test_where_nothing_was_written_all_that_is_about_the_unit_is_read(
    more: str, restart: str, user: bool, calls: list[str]
) -> None:
    assert await last_lines_of("", more, restart, user) == ((), calls)


async def last_lines_of(
    own: str, more: str, restart: str = "", user: bool = False
) -> tuple[tuple[str, ...], list[str]]:
    """The last lines of a unit with these own entries and further properties; and how they were read."""

    def answer(command: Command) -> Answer:
        if "show" in command.argv:
            return Answer(f"{RUNNING}Id=shop.service\n{more}")
        return Answer(restart if RESTART in command.argv else own if "json" in command.argv else "")

    host = ScriptedHost(answer)
    lines = await SystemdService(host, SystemdSettings(name="nick", user=user), {}).last_lines()
    calls = [command.argv for command in host.ran if command.argv[0] == "journalctl"]
    return lines, [" ".join(argv[argv.index("--quiet") + 1 :]) for argv in calls]


@pytest.mark.parametrize(
    ("properties", "restart", "lines"),
    [
        ("", "", ["old", "before", "why"]),  # before 232, which has no ids
        ("InvocationID=\n", "", ["old", "before", "why"]),
        (f"InvocationID={RUN}/x\nNRestarts=1\n", "", ["old", "before", "why"]),
        (f"{RUNS}0\n", "", ["why"]),
        (
            f"{RUNS}2\n",
            f"__CURSOR=s=1\nINVOCATION_ID={RUN_BEFORE}\n",
            ["before", "why"],
        ),
        (f"{RUNS}2\n", "INVOCATION_ID=--all\n", ["why"]),
    ],
)
@pytest.mark.parametrize("run", [RUN, ""])  # journald may not have found out of which run a line is
async def test_the_last_lines_are_of_the_last_run(
    properties: str, restart: str, lines: list[str], run: str
) -> None:
    """Of the one before, too, if systemd itself has begun the last one."""
    own = entries((OLD_RUN, "old"), (RUN_BEFORE, "before"), (run, "why"))
    assert (await last_lines_of(own, properties, restart))[0] == tuple(lines)


async def test_a_line_without_a_run_is_of_the_last_one_only_since_its_start() -> None:
    own = entries((OLD_RUN, "old"), ("", "old too"), ("", "why"))
    started = f"{RUNS}0\nExecMainStartTimestampMonotonic="
    assert (await last_lines_of(own, f"{started}2\n"))[0] == ("why",)
    assert (await last_lines_of(own, f"{started}3\n"))[0] == ()
    assert (await last_lines_of(own, f"{started}\n"))[0] == ("old too", "why")


async def test_lines_that_are_no_text_are_shown_as_far_as_they_are() -> None:
    own = entries(("", [119, 104, 255, 121]), ("", None), ("", [300]), ("", {"not": "text"})) + "not JSON\n"
    assert (await last_lines_of(own, ""))[0] == ("wh\ufffdy",)


async def test_characters_that_end_lines_elsewhere_end_no_entry() -> None:
    """They are written as they are in JSON, unlike control characters."""
    lines, _ = await last_lines_of(entries(("", "cannot\u2028connect"), ("", "in \u0085 vain")), "")
    assert ("cannot" in lines[0], "vain" in lines[-1]) == (True, True)


@pytest.mark.parametrize(
    ("systemctl", "expected"),
    [
        ("systemctl", "journalctl"),
        ("sudo -n /bin/systemctl", "sudo -n /bin/journalctl"),
        ("/opt/own-systemctl", "journalctl"),
    ],
)
def test_how_the_journal_is_read_follows_how_systemctl_is_called(systemctl: str, expected: str) -> None:
    assert " ".join(journalctl(systemctl)) == expected
