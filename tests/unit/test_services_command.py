"""Commands of the operator's own: what is built from the templates, and how answers are judged."""

import pytest

from backends.command import Command, CommandResult
from backends.errors import ConfigError, Refused, UnknownOutcome, UnreadableReply
from backends.hosts.execution import MAX_OUTPUT_CHARS, format_output
from backends.node_state import Activity, ServiceState
from backends.services.command import NOT_KNOWN_AFTER_REBOOT, CommandService, CommandSettings
from backends.services.common import parse_pid
from tests.support.scripted_host import Answer, ScriptedHost

SETTINGS = CommandSettings(
    start="cd /srv/{app} && ./ctl start --port {port}",
    stop="/srv/{app}/ctl stop ${HOME} {node}",
    status="/srv/{app}/ctl status | awk '{print $1}'",
    pid_file="/run/{app}/pid of {node}",
)
VALUES = {"app": "shop", "node": "web1", "port": "8080"}


def service(status: Answer, pid_file: Answer | None = None) -> tuple[CommandService, ScriptedHost]:
    host = ScriptedHost(lambda command: status if command.argv[0] == "sh" else pid_file or Answer())
    settings = SETTINGS if pid_file else CommandSettings(start="up", stop="down", status="how")
    return CommandService(host, settings, VALUES), host


def test_commands() -> None:
    command = CommandService(ScriptedHost(), SETTINGS, VALUES)
    assert command.start_command() == Command.shell("cd /srv/shop && ./ctl start --port 8080")
    assert command.stop_command() == Command.shell("/srv/shop/ctl stop ${HOME} web1")
    assert command.state_command() == Command.shell("/srv/shop/ctl status | awk '{print $1}'")
    assert command.pid_command() == Command(("cat", "--", "/run/shop/pid of web1"))


def test_values_are_quoted() -> None:
    command = CommandService(ScriptedHost(), SETTINGS, {**VALUES, "node": "a b; reboot"})
    assert command.stop_command() == Command.shell("/srv/shop/ctl stop ${HOME} 'a b; reboot'")


def test_a_name_without_a_value_is_an_error() -> None:
    with pytest.raises(ConfigError, match="node"):
        CommandService(ScriptedHost(), SETTINGS, {"app": "shop"}).stop_command()


@pytest.mark.parametrize(
    ("exit_status", "activity"),
    [(0, Activity.RUNNING), (1, Activity.STOPPED), (3, Activity.STOPPED)],
)
async def test_exit_statuses(exit_status: int, activity: Activity) -> None:
    command, host = service(Answer("it says so", "", exit_status))
    detail = f"status command: exit status {exit_status}: it says so"
    assert await command.state() == ServiceState(activity, None, detail)
    assert host.recorded == []


@pytest.mark.parametrize("exit_status", [2, 4, 126, 127, 137, 255])
async def test_other_exit_statuses_are_no_measurement(exit_status: int) -> None:
    command, _ = service(Answer("", "syntax error", exit_status))
    with pytest.raises(UnreadableReply, match=f"exit status {exit_status}: syntax error"):
        await command.state()


async def test_the_process_id_comes_from_the_pid_file() -> None:
    command, _ = service(Answer("up"), Answer("4711\n"))
    assert (await command.state()).pid == 4711


async def test_a_running_service_without_a_process_id() -> None:
    command, _ = service(Answer("up"), Answer("", "cat: no such file", 1))
    state = await command.state()
    assert (state.activity, state.pid) == (Activity.RUNNING, None)
    assert "no pid in the pid file" in state.detail


async def test_a_pid_file_that_was_left_behind_is_not_believed() -> None:
    command, host = service(Answer("", "", 3), Answer("4711\n"))
    assert (await command.state()).pid is None
    assert host.ran == [command.state_command(), command.pid_command()], "asked side by side"


@pytest.mark.parametrize(
    ("text", "pid"),
    [
        ("12", 12),
        (" 12 \n13\n", 12),
        ("", None),
        ("0", None),
        ("-1", None),
        ("x", None),
        ("²", None),
        ("9" * 5_000, None),
    ],
)
def test_parse_pid(text: str, pid: int | None) -> None:
    assert parse_pid(text) == pid


async def test_a_refusal() -> None:
    command, host = service(Answer("", "no such service", 5))
    with pytest.raises(Refused, match="the stop command: exit status 5: no such service"):
        await command.stop()
    assert host.tracked == host.recorded == [command.stop_command()]


def _lost(_: Command) -> Answer:
    raise UnknownOutcome("web1", "connection lost", pid=12)


async def test_a_lost_answer_is_unknown_after_asking_and_unmeasured_after_looking() -> None:
    command = CommandService(ScriptedHost(_lost), SETTINGS, VALUES)
    with pytest.raises(UnknownOutcome) as asked:
        await command.start()
    assert asked.value.pid == 12
    with pytest.raises(UnreadableReply, match="connection lost"):
        await command.state()


def test_words_are_one_line_and_bounded() -> None:
    def said(stdout: str, stderr: str) -> str:
        return format_output(CommandResult("web1", "x", 1, stdout, stderr, 0.0))

    assert said("out", " a \n\n b\n") == "a; b"
    assert said("out\n", " \n") == "out"
    assert said("", "") == "(no output)"
    assert len(said("", "x" * 5000 + "end")) == MAX_OUTPUT_CHARS + 3
    assert said("", "x" * 5000 + "end").endswith("end")


async def test_commands_say_that_nothing_tells_of_a_reboot_and_keep_no_log() -> None:
    host = ScriptedHost()
    command = CommandService(host, SETTINGS, VALUES)
    assert await command.caveats() == (NOT_KNOWN_AFTER_REBOOT,)
    assert await command.last_lines() == ()


async def test_a_sudo_that_refuses_the_status_command_says_nothing_of_the_service() -> None:
    said = "sudo: a password is required"
    host = ScriptedHost(lambda _: Answer("", said, 1), refusal=lambda _: "a password is required")
    settings = CommandSettings(start="up", stop="down", status="sudo -n how")
    with pytest.raises(UnreadableReply, match="sudo would not run the status command"):
        await CommandService(host, settings, VALUES).state()
