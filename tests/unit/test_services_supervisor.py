"""supervisord: what supervisorctl 4.2.5 prints. Whether it does is tested on a real one."""

import pytest

from backends.command import Command
from backends.errors import ConfigError, Refused, UnreadableReply
from backends.node_state import Activity, ServiceState
from backends.services.supervisor import (
    AUTORESTART_UNKNOWN,
    NOT_AT_BOOT,
    SupervisorService,
    SupervisorSettings,
    autostart,
    parse_status,
)
from tests.support.scripted_host import Answer, ScriptedHost

RUNNING = "shop                             RUNNING   pid 812, uptime 0:01:02\n"
AVAILABLE = """\
other                            in use    auto      999:999
shop                             in use    manual    999:999
web:web_00                       in use    auto      999:999
"""


def service(*answers: Answer, name: str = "shop") -> tuple[SupervisorService, ScriptedHost]:
    rest = list(answers)
    host = ScriptedHost(lambda _: rest.pop(0) if len(rest) > 1 else rest[0])
    return SupervisorService(host, SupervisorSettings(name=name), {"node": "web1"}), host


@pytest.mark.parametrize(
    ("line", "activity", "pid", "detail"),
    [
        ("RUNNING   pid 812, uptime 0:01:02", Activity.RUNNING, 812, "RUNNING: pid 812, uptime 0:01:02"),
        ("STARTING  ", Activity.CHANGING, None, "STARTING"),
        (
            "BACKOFF   Exited too quickly (process log may have details)",
            Activity.CHANGING,
            None,
            "BACKOFF: E",
        ),
        ("STOPPING  ", Activity.CHANGING, None, "STOPPING"),
        ("STOPPED   Not started", Activity.STOPPED, None, "STOPPED: Not started"),
        ("EXITED    Nov 28 05:18 PM", Activity.FAILED, None, "EXITED: Nov 28"),
        ("FATAL     pid 7, of an error text", Activity.FAILED, None, "FATAL: pid 7"),
    ],
)
def test_states(line: str, activity: Activity, pid: int | None, detail: str) -> None:
    state = parse_status(f"other  RUNNING   pid 1, uptime 0:00:01\nshop         {line}\n", "shop")
    assert state is not None
    assert (state.activity, state.pid) == (activity, pid)
    assert state.detail.startswith(detail)
    assert state.retrying is line.startswith("BACKOFF")


def test_the_group_of_the_same_name_is_left_out() -> None:
    assert parse_status(RUNNING, "shop:shop") == ServiceState(
        Activity.RUNNING, 812, "RUNNING: pid 812, uptime 0:01:02"
    )
    assert parse_status(RUNNING, "group:shop") is None
    assert parse_status("shop  CONFUSED  \n", "shop") is None


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (Answer("shop: ERROR (no such process)\n", "", 4), Refused, "supervisord has no program shop"),
        (Answer("shop: ERROR (no such group)\n", "", 4), Refused, "supervisord has no program shop"),
        (Answer("unix:///run/supervisor.sock no such file\n", "", 4), UnreadableReply, "no such file"),
        (Answer("http://127.0.0.1:9001 refused connection\n", "", 4), UnreadableReply, "refused connection"),
        (Answer("shop  UNKNOWN  \n", "", 3), UnreadableReply, "UNKNOWN"),
        (
            Answer("", "Error: could not find config file /x\n", 2),
            UnreadableReply,
            "could not find config file",
        ),
        (Answer("", "supervisorctl: not found", 127), UnreadableReply, "not found"),
    ],
)
async def test_states_that_cannot_be_told(answer: Answer, error: type[Exception], words: str) -> None:
    supervisor, host = service(answer)
    with pytest.raises(error, match=words):
        await supervisor.state()
    assert host.recorded == []


async def test_a_start_that_failed_is_refused_in_its_words() -> None:
    supervisor, host = service(Answer("shop: ERROR (spawn error)\n", "", 7))
    with pytest.raises(
        Refused, match=r"supervisorctl start shop: exit status 7: shop: ERROR \(spawn error\)"
    ):
        await supervisor.start()
    assert host.recorded == [Command(("supervisorctl", "start", "shop"))]


@pytest.mark.parametrize("name", ["all", "ALL", "web:", "web:*", "-c", "two words"])
def test_names_of_several_programs(name: str) -> None:
    with pytest.raises(ConfigError, match=r"service\.name"):
        service(Answer(), name=name)


def test_it_must_be_called_somehow() -> None:
    for wrong in ("", " ", "sudo '"):
        with pytest.raises(ValueError, match="command: found"):
            SupervisorSettings(name="shop", command=wrong)


async def test_what_becomes_of_it_later() -> None:
    assert [autostart(AVAILABLE, name) for name in ("shop", "other", "web:web_00", "web")] == [
        False,
        True,
        True,
        None,
    ]
    supervisor, _ = service(Answer(AVAILABLE))
    assert await supervisor.caveats() == (AUTORESTART_UNKNOWN, NOT_AT_BOOT)
    supervisor, _ = service(Answer("error: <class 'FileNotFoundError'>\n", "", 1))
    assert await supervisor.caveats() == (AUTORESTART_UNKNOWN,)


@pytest.mark.parametrize(
    ("output", "errors", "lines"),
    [
        ("o1 o2 o3 o4 o5 o6", "e1", "o3 o4 o5 o6 e1"),
        ("o1 o2 o3", "e1 e2 e3 e4", "o2 o3 e2 e3 e4"),
        ("o1", "e1 e2 e3 e4 e5 e6", "o1 e3 e4 e5 e6"),
        ("", "e1 e2 e3 e4 e5 e6", "e2 e3 e4 e5 e6"),
        ("o1 o2", "", "o1 o2"),
        ("", "", ""),
    ],
)
async def test_the_last_lines_are_of_both_outputs(output: str, errors: str, lines: str) -> None:
    """Errors of long ago do not hide what a version that has just died wrote to standard output."""
    answers = (Answer("\n".join(text.split())) for text in (output, errors))
    supervisor, host = service(*answers)
    assert await supervisor.last_lines() == tuple(lines.split())
    assert host.ran == [
        Command(("supervisorctl", "tail", "-4096", "shop", channel)) for channel in ("stdout", "stderr")
    ]


async def test_outputs_that_cannot_be_read_have_no_last_lines() -> None:
    supervisor, _ = service(Answer("both\n"), Answer("shop: ERROR (no log file)\n", "", 1))
    assert await supervisor.last_lines() == ("both",)
    supervisor, _ = service(Answer("unix:///run/supervisor.sock no such file\n", "", 7))
    assert await supervisor.last_lines() == ()
