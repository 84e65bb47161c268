"""Monit: commands by equality, its texts as captured, and replies that a real one gives rarely."""

from collections.abc import Callable

import msgspec
import pytest

from backends.command import Command
from backends.errors import Busy, ConfigError, Refused, UnknownOutcome, UnreadableReply
from backends.node_state import Activity, ServiceState
from backends.services.monit import MonitService, MonitSettings
from backends.services.monit_output import MonitControl, MonitStatus, parse_control, parse_status, state_of
from tests.support.scripted_host import Answer, ScriptedHost

RUNNING = """\
Monit 5.33.0 uptime: 0m

Process 'shop'
  status                       OK
  monitoring status            Monitored
  monitoring mode              active
  on reboot                    start
  pid                          7415
  parent pid                   1
  uid                          0
  uptime                       0m
  memory                       0.1% [20.3 MB]
  data collected               Mon, 23 Nov 2026 08:29:21

"""

# 5.20, to a terminal: colors, "Running", wider columns, and another service before ours.
OLD = """\
Monit 5.20.0 uptime: 12d 3h 4m

\x1b[1;36mProcess 'shopkeeper'\x1b[0m
  status                            \x1b[0;92mRunning\x1b[0m
  monitoring status                 Monitored
  pid                               11

\x1b[1;36mProcess 'Shop'\x1b[0m
  status                            \x1b[0;92mRunning\x1b[0m
  monitoring status                 Monitored
  monitoring mode                   active
  on reboot                         start
  pid                               \x1b[0;39m4711\x1b[0m
  port response time                0.001s to localhost:80 type TCP/IP protocol HTTP
  data collected                    Mon, 23 Nov 2026 08:29:21

\x1b[1;36mSystem 'web1'\x1b[0m
  status                            \x1b[0;92mRunning\x1b[0m
"""


def status(said: str, *extra: str) -> str:
    lines = [f"  status                       {said}", *(f"  {line}" for line in extra)]
    return "\n".join(["Monit 5.33.0 uptime: 0m", "", "Process 'shop'", *lines, ""])


def service(answer: Callable[[Command], Answer]) -> tuple[MonitService, ScriptedHost]:
    host = ScriptedHost(answer, lives=True)
    return MonitService(host, MonitSettings(name="shop"), {}), host


def verbs(host: ScriptedHost) -> list[str]:
    return [command.argv[1] for command in host.ran]


class Script:
    """Answers `monit status` with each text in turn, the last one for ever; the rest as told."""

    def __init__(self, *texts: str, asked: Answer | None = None) -> None:
        self.texts = list(texts)
        self.asked = asked or Answer()

    def __call__(self, command: Command) -> Answer:
        if command.argv[1] != "status":
            return self.asked
        return Answer(self.texts.pop(0) if len(self.texts) > 1 else self.texts[0])


def test_commands() -> None:
    monit = MonitService(ScriptedHost(), MonitSettings(name="shop"), {})
    assert monit.stop_command() == Command(("monit", "stop", "shop"))
    assert monit.start_command() == Command(("monit", "start", "shop"))
    assert monit.state_command() == Command(("monit", "status", "shop"))


def test_the_command_has_options_and_the_name_has_the_node_in_it() -> None:
    settings = MonitSettings(name="shop-{node}", command="monit -c '/etc/my monit/rc'")
    monit = MonitService(ScriptedHost(), settings, {"node": "web1"})
    assert monit.stop_command().argv == ("monit", "-c", "/etc/my monit/rc", "stop", "shop-web1")


@pytest.mark.parametrize(
    "name", ["", "-g", " a", "a ", "a;b", "$(x)", "a\nb", "a\tb", "all", "ALL", "{node}"]
)
def test_a_name_that_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=r"service\.name: .*(expected letters, digits|all of its services)"):
        MonitService(ScriptedHost(), MonitSettings(name=name), {"node": "--help"})


def test_a_name_of_several_words_is_one_argument() -> None:
    monit = MonitService(ScriptedHost(), MonitSettings(name="my shop of {node}"), {"node": "web1"})
    assert monit.stop_command().argv == ("monit", "stop", "my shop of web1")


def test_parse_a_running_service() -> None:
    assert parse_status(RUNNING, "shop") == MonitStatus("OK", "", "active", 7415, "start")


def test_parse_an_old_version_with_colors_and_other_services() -> None:
    assert parse_status(OLD, "shop") == MonitStatus("Running", "", "active", 4711, "start")


@pytest.mark.parametrize("text", ["", "Monit 5.33.0 uptime: 0m\n\n", OLD.replace("'Shop'", "'x'")])
def test_parse_finds_nothing(text: str) -> None:
    assert parse_status(text, "shop") is None


@pytest.mark.parametrize(
    ("said", "activity", "retrying"),
    [
        ("OK", Activity.RUNNING, False),
        ("Running", Activity.RUNNING, False),
        ("OK - stop pending", Activity.CHANGING, False),
        ("Running - start pending", Activity.CHANGING, False),
        ("Not monitored - start pending", Activity.CHANGING, False),
        ("Not monitored - monitor pending", Activity.CHANGING, False),
        ("Not monitored", Activity.STOPPED, False),
        ("Initializing", Activity.CHANGING, False),
        ("Waiting", Activity.CHANGING, False),
        ("Does not exist", Activity.CHANGING, True),
        ("Data access error", Activity.CHANGING, True),
        ("Data access error | Does not exist", Activity.CHANGING, True),
        ("Execution failed", Activity.CHANGING, True),
        ("Execution failed | Does not exist", Activity.CHANGING, True),
    ],
)
def test_activities(said: str, activity: Activity, retrying: bool) -> None:
    found = parse_status(status(said), "shop")
    assert found is not None
    seen = state_of("web1", found, "monit monitor shop")
    ends = said.endswith("stop pending")
    assert seen == ServiceState(activity, None, said, retrying, seen.unwatched, stopping=ends)
    assert seen.unwatched.endswith("first run: monit monitor shop") is (said == "Not monitored")


def test_a_process_that_runs_is_running_also_when_a_test_of_monit_fails_on_it() -> None:
    found = parse_status(status("Connection failed | Resource limit matched", "pid  12"), "shop")
    assert found is not None
    detail = "Connection failed | Resource limit matched"
    assert state_of("web1", found) == ServiceState(Activity.RUNNING, 12, detail)


def test_the_process_id_is_told_while_a_stop_is_pending() -> None:
    found = parse_status(status("OK - stop pending", "pid  12"), "shop")
    assert found is not None
    assert state_of("web1", found).pid == 12


def test_what_monit_only_watches_is_stopped_when_it_does_not_exist() -> None:
    found = parse_status(status("Does not exist", "monitoring mode    passive"), "shop")
    assert found is not None
    assert state_of("web1", found).activity is Activity.STOPPED


def test_an_unknown_status_is_no_measurement() -> None:
    found = parse_status(status("Enchanted"), "shop")
    assert found is not None
    with pytest.raises(UnreadableReply, match="Enchanted"):
        state_of("web1", found)


async def test_looking_stays_out_of_the_transcript_and_asking_does_not() -> None:
    monit, host = service(Script(RUNNING))
    assert await monit.state() == ServiceState(Activity.RUNNING, 7415, "OK")
    await monit.stop()
    assert host.recorded == [monit.stop_command()]


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (Answer("", "Service 'shop' not found\n", 1), Refused, "has no service shop"),
        (Answer("", 'There is no service named "shop"\n', 1), Refused, "has no service shop"),
        (Answer("", "Monit: the monit daemon is not running\n", 1), UnreadableReply, "not running"),
        (Answer("", "Error receiving data -- x\n", 1), UnreadableReply, "Error receiving data"),
        (Answer("Monit 5.33.0 uptime: 0m\n"), UnreadableReply, "uptime"),
        (Answer("", "sh: monit: not found", 127), UnreadableReply, "not found"),
        (Answer(RUNNING, "cut off", 1), UnreadableReply, "cut off"),
    ],
)
async def test_states_that_cannot_be_told(answer: Answer, error: type[Exception], words: str) -> None:
    monit, _ = service(lambda _: answer)
    with pytest.raises(error, match=words):
        await monit.state()


async def test_nothing_is_asked_when_the_daemon_does_not_run() -> None:
    monit, host = service(lambda _: Answer("", "Monit: the monit daemon is not running\n", 1))
    with pytest.raises(Refused, match=r"not asked to stop shop: the monit daemon is not running"):
        await monit.stop()
    assert verbs(host) == ["status"]


async def test_an_action_that_is_pending_already_is_not_asked_for_again() -> None:
    monit, host = service(Script(status("OK - stop pending")))
    await monit.stop()
    assert verbs(host) == ["status"]


@pytest.mark.parametrize("pending", ["start", "restart", "monitor"])
async def test_nothing_is_asked_while_another_action_is_pending(pending: str) -> None:
    monit, host = service(Script(status(f"Not monitored - {pending} pending")))
    with pytest.raises(Busy, match=f"monit stop shop: Monit is busy with its service: {pending} pending"):
        await monit.stop()
    assert verbs(host) == ["status"]


async def test_old_versions_say_busy_in_reply() -> None:
    busy = Answer("", "Action failed -- Other action already in progress -- please try again\n", 1)
    monit, host = service(Script(RUNNING, asked=busy))
    with pytest.raises(Busy, match=r"monit stop shop: .*already in progress"):
        await monit.stop()
    assert verbs(host) == ["status", "stop"]


async def test_any_other_refusal_is_not_tried_again() -> None:
    denied = Answer("", "You do not have sufficient privileges\n", 1)
    monit, host = service(Script(RUNNING, asked=denied))
    with pytest.raises(Refused, match="monit stop shop: exit status 1: You do not have"):
        await monit.stop()
    assert verbs(host) == ["status", "stop"]


async def test_a_request_to_a_hung_monit_may_still_be_carried_out() -> None:
    hung = Answer("", "Error receiving data -- Resource temporarily unavailable\n", 1)
    monit, _ = service(Script(RUNNING, asked=hung))
    with pytest.raises(UnknownOutcome, match="Error receiving data"):
        await monit.stop()


def test_settings_refuse_what_they_do_not_know() -> None:
    with pytest.raises(msgspec.ValidationError, match="unknown field"):
        msgspec.convert({"kind": "monit", "name": "a", "nmae": "b"}, MonitSettings)


# -- the control file ------------------------------------------------------------------------------

VERBOSE = """\
Adding 'allow localhost' -- host resolved to [::ffff:127.0.0.1]
Runtime constants:
 Control file       = /etc/monit/monitrc
 Log file           = /var/log/monit.log
 Use syslog         = False

The service list contains the following entries:

Process Name          = shop
 Pid file             = /run/shop.pid
 Monitoring mode      = active
 On reboot            = laststate
 Start program        = '/srv/ctl start' timeout 5 s
 Stop program         = '/srv/ctl stop' timeout 2 s
 Existence            = if does not exist then restart

Process Name          = front
 Pid file             = /run/front.pid
 Start program        = '/srv/front start' timeout 30 s
 Depends on Service   = db
 Depends on Service   = Shop

System Name           = vm
 Monitoring mode      = active

-------------------------------------------------------------------------------
"""
LOG = """\
[2026-11-28T17:06:05+0000] info     : 'shop' start: '/srv/ctl start'
[2026-11-28T17:06:06+0000] error    : 'shopkeeper' process is not running
[2026-11-28T17:06:07+0000] error    : 'Shop' failed to start (exit status 1)
"""


def test_parse_the_control_file() -> None:
    log = "/var/log/monit.log"
    assert parse_control(VERBOSE + RUNNING, "SHOP") == MonitControl(log, True, True, ("front",))
    assert parse_control(VERBOSE, "front") == MonitControl(log, True, False, ())
    assert parse_control(VERBOSE.replace("= /var/log/monit.log", "= syslog"), "vm") == MonitControl(
        "", False, False, ()
    )
    for text in ("", RUNNING, VERBOSE.replace("shop", "x")):
        assert parse_control(text, "shop") is None


def test_how_often_monit_looks_at_it() -> None:
    poll = " Use syslog         = False\n Poll time          = 30 seconds with start delay 0 seconds\n"
    text = VERBOSE.replace(" Use syslog         = False\n", poll)
    control = parse_control(text.replace("= db\n", "= db\n Every                = Check 5\n"), "front")
    assert control is not None
    assert (control.every, control.cycle) == ("Check 5", "30 seconds with start delay 0 seconds")


async def test_the_last_lines_come_by_the_way_to_monit() -> None:
    def answer(command: Command) -> Answer:
        return Answer(LOG if "tail" in command.argv else VERBOSE)

    host = ScriptedHost(answer)
    settings = MonitSettings(name="shop", command="sudo -n /usr/bin/monit -c /etc/m")
    assert await MonitService(host, settings, {}).last_lines() == tuple(LOG.splitlines()[::2])
    assert [command.argv for command in host.ran] == [
        ("sudo", "-n", "/usr/bin/monit", "-c", "/etc/m", "-v", "status", "shop"),
        ("sudo", "-n", "tail", "-n", "500", "--", "/var/log/monit.log"),
    ]


async def test_what_sudo_would_refuse_is_not_tried() -> None:
    def refusal(command: Command) -> str:
        return "no" if "-v" in command.argv else ""

    host = ScriptedHost(lambda _: Answer(RUNNING), refusal=refusal, lives=True)
    monit = MonitService(host, MonitSettings(name="shop", command="sudo -n monit"), {})
    assert (await monit.last_lines(), await monit.caveats(), await monit.obstacles()) == ((), (), ())
    assert [command.argv[2:] for command in host.ran] == [("monit", "status", "shop")]


async def test_an_older_monit_leaves_it_unsaid() -> None:
    text = RUNNING.replace("  on reboot                    start\n", "")
    assert await service(lambda _: Answer(text))[0].caveats() == ()
    found = await service(lambda _: Answer(text.replace("active", "passive")))[0].caveats()
    assert found == ("Monit would not start its service again when it has died (mode passive)",)


async def test_a_process_that_is_not_on_the_node_is_said() -> None:
    """Monit is in a container, or has not noticed yet that it has ended."""
    host = ScriptedHost(lambda _: Answer(RUNNING))
    [found] = await MonitService(host, MonitSettings(name="shop"), {}).caveats()
    assert found.startswith("Monit says that the service is process 7415, and the node has no such process")
