"""What keeps a service manager from stopping or starting a service, found without doing either."""

import pytest

from backends.command import Command
from backends.errors import UnreadableReply
from backends.hosts.execution import command_obstacles, first_program, process_obstacles
from backends.hosts.sudo import listing_query, sudo_query, wants_password
from backends.kinds import ServiceSettings, make_service
from backends.node_state import Activity, ServiceState
from backends.services.command import CommandService, CommandSettings
from backends.services.container import ContainerService, ContainerSettings
from backends.services.monit import MonitSettings
from backends.services.systemd import SystemdSettings
from orchestrator.engine.manual_change import Change, apply, find_nodes
from orchestrator.events.events import NodeFailed, NodeNote
from tests.support.fake_fleet import World
from tests.support.scripted_host import Answer, ScriptedHost

STOP = Command(("systemctl", "stop", "shop"))


SUDO = ("sudo", "-n", "--")


@pytest.mark.parametrize(
    ("before", "tracker", "command", "query"),
    [
        ((), (), STOP, ()),
        ((), ("tell",), Command(("sudo", "-n", "x", "stop")), ("sudo", "-l", "-n", "x", "stop")),
        (SUDO, (), STOP, ("sudo", "-l", "-n", "--", *STOP.argv)),
        ((*SUDO, "in", "c"), ("tell",), STOP, ("sudo", "-l", "-n", "--", "in", "c", "tell", *STOP.argv)),
        (("in", "c"), (), Command(("sudo", "x")), ("in", "c", "sudo", "-l", "-n", "x")),
        ((), (), Command(("sudo", "-u", "app", "-E", "x")), ("sudo", "-l", "-n", "-u", "app", "x")),
        ((), (), Command(("sudo", "--user=app", "--", "x")), ("sudo", "-l", "-n", "--user=app", "--", "x")),
        ((), (), Command(("sudo", "A=1", "x", "-b")), ("sudo", "-l", "-n", "A=1", "x", "-b")),
        ((), (), Command(("sudo", "-i", "-u", "app", "x")), ()),  # `-l` takes none of these
        ((), (), Command(("sudo", "-nb", "x")), ()),
        ((), (), Command(("sudo", "-D", "/", "x")), ()),
        ((), (), Command.shell("sudo -n /ctl stop web1"), ("sudo", "-l", "-n", "/ctl", "stop", "web1")),
        ((), (), Command.shell("sudo -n /opt/ctl stop && rm /tmp/x"), ()),
        ((), (), Command.shell("cd /opt; sudo -n ./ctl"), ()),
        ((), (), Command.shell("/opt/ctl sudo"), ()),
    ],
)
def test_the_query_for_sudo(
    before: tuple[str, ...], tracker: tuple[str, ...], command: Command, query: tuple[str, ...]
) -> None:
    assert sudo_query(before, tracker, command) == query


def test_the_query_for_the_rules_goes_the_same_way() -> None:
    assert listing_query(("in", "c", "sudo", "-l", "x"))[:4] == ("in", "c", "sh", "-c")
    assert listing_query(("sudo", "-l", "-n", "--", "in", "c", "x"))[0] == "sh"


HEAD = "User rolldeck may run the following commands on web1:\n"
DEFAULTS = "Matching Defaults entries for rolldeck on web1:\n    env_reset, {}\n\n" + HEAD


@pytest.mark.parametrize(
    ("listing", "wanted"),
    [
        (f"{HEAD}    (root) NOPASSWD: /usr/bin/systemctl stop shop\n", False),
        (f"{HEAD}    (root) NOPASSWD: /bin/systemctl\n", False),
        (f"{HEAD}    (root) NOPASSWD: ALL\n", False),
        (f"{HEAD}    (root) NOPASSWD: /usr/bin/*\n", False),
        (f"{HEAD}    (root) NOPASSWD: /usr/bin/\n", False),
        (f"{HEAD}    (root) NOPASSWD: SETENV: /usr/bin/systemctl stop shop\n", False),
        (f"{HEAD}    (root) NOPASSWD: /usr/bin/systemctl ^stop .*$\n", False),
        (f"{HEAD}    (ALL) ALL\n    (root) NOPASSWD: /x, /usr/bin/systemctl stop *\n", False),
        (f"root\n{HEAD}    (ALL : ALL) ALL\n", False),
        (DEFAULTS.format("!authenticate") + "    (ALL) ALL\n", False),
        (DEFAULTS.format("noninteractive_auth") + "    (ALL) ALL\n", False),
        ("", False),
        ("sudo: something else\n", False),
        (f"{HEAD}    (ALL) ALL\n", True),
        (f"{HEAD}    (ALL) ALL\n    (root) NOPASSWD: /usr/bin/systemctl show shop\n", True),
        (f'{HEAD}    (ALL) ALL\n    (root) NOPASSWD: /usr/bin/systemctl ""\n', True),
        (f"{HEAD}    (ALL) ALL\n    (root) NOPASSWD: /usr/bin/monit\n", True),
        (f"{HEAD}    (root) NOPASSWD: /usr/bin/id, PASSWD: /usr/bin/systemctl stop shop\n", True),
        (DEFAULTS.format("mail_badpass") + "    (ALL) ALL\n", True),
    ],
)
def test_whether_an_allowed_command_asks_for_a_password(listing: str, wanted: bool) -> None:
    assert wants_password(listing, "/usr/bin/systemctl stop shop") is wanted


@pytest.mark.parametrize(
    ("script", "program"),
    [
        ("./appctl stop", "./appctl"),
        ("A=1 B='x y' /opt/ctl stop", "/opt/ctl"),
        ("exec /opt/ctl stop", "/opt/ctl"),
        ("env A=1 ctl", "ctl"),
        ("sudo -n ctl", "sudo"),
        ("cd /opt/shop && ./ctl", "cd"),
        ("if true; then ctl; fi", "if"),
        ("(cd x; ctl)", ""),
        ("$HOME/ctl stop", ""),
        ("~/ctl stop", ""),
        ("A=$(date +%s) ctl", ""),
        ("'/opt/a b/ctl' stop", ""),
        ("nohup -x ctl", ""),
        ("PATH=/opt/bin:$PATH ctl stop", ""),
        ("env PATH=/opt/bin ctl stop", ""),
        ("echo 'open", ""),
        ("", ""),
    ],
)
def test_the_first_program_of_a_shell_command(script: str, program: str) -> None:
    assert first_program(Command.shell(script)) == program


def test_the_program_of_other_commands() -> None:
    assert first_program(STOP) == "systemctl"


SETTINGS: tuple[ServiceSettings, ...] = (
    SystemdSettings(name="shop"),
    MonitSettings(name="shop"),
    ContainerSettings(name="shop"),
    CommandSettings(start="./ctl start", stop="./ctl stop", status="./ctl status"),
)


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: type(settings).__name__)
async def test_sudo_that_refuses_is_an_obstacle_for_every_manager(settings: ServiceSettings) -> None:
    answer = Answer("ActiveState=active\nLoadState=loaded\n")
    if isinstance(settings, ContainerSettings):
        answer = Answer("", "Error: no such container shop", 125)
    refusing = ScriptedHost(lambda _: answer, refusal=lambda _: "a password is required")
    found = await make_service(settings, refusing, {}).obstacles()
    assert len(found) == 2
    for purpose, text in zip(("stop", "start"), found, strict=True):
        assert text.startswith(f"sudo would not run the command for {purpose}, `")
        assert text.endswith("`: a password is required")
    assert refusing.recorded == []
    assert await make_service(settings, ScriptedHost(lambda _: answer), {}).obstacles() == ()


async def test_a_program_that_is_not_there_is_an_obstacle() -> None:
    host = ScriptedHost(lambda command: Answer("missing\n" if command.argv[-1] == "./ctl" else "there\n"))
    settings = CommandSettings(start="./ctl start", stop="/bin/other stop", status="true")
    assert await CommandService(host, settings, {}).obstacles() == (
        "the program of the command for start is not there: ./ctl",
    )


@pytest.mark.parametrize(
    ("host", "before", "after", "is_obstacle"),
    [
        (ScriptedHost(), 7, 7, True),
        (ScriptedHost(), 7, 8, False),  # it has been started again meanwhile
        (ScriptedHost(), None, 8, False),
        (ScriptedHost(lives=True), 7, 7, False),
    ],
)
async def test_a_process_that_is_not_where_commands_run_is_an_obstacle(
    host: ScriptedHost, before: int | None, after: int, is_obstacle: bool
) -> None:
    async def look_again() -> ServiceState:
        return ServiceState(Activity.RUNNING, after, "RUNNING")

    found = await process_obstacles(host, "supervisord", before, look_again)
    assert ["process 7, and the node has no such process" in text for text in found] == [True] * is_obstacle


async def test_what_cannot_be_asked_is_no_obstacle() -> None:
    """With sudo between, its refusal of the question says nothing of the program."""
    host = ScriptedHost(lambda _: Answer("", "sudo: a password is required", 1))
    commands = {"stop": Command.shell("./ctl stop")}
    assert await command_obstacles(host, commands, track=True, programs=True) == ()


async def test_a_container_that_is_not_there_is_named() -> None:
    host = ScriptedHost(lambda _: Answer("", "Error: no such container shpo", 125))
    state = await ContainerService(host, ContainerSettings(name="shpo"), {}).state()
    assert (state.activity, state.detail) == (Activity.STOPPED, "no such container: shpo")


# -- a rollout --------------------------------------------------------------------------------------

MASKED = "the unit shop.service is masked"


@pytest.mark.virtual_time
async def test_an_obstacle_is_an_error_before_anything_is_touched() -> None:
    world = World()
    world.nodes["web2"].obstacles = (MASKED,)
    plan = await world.plan()
    assert [(error.subject, error.text) for error in plan.errors] == [("web2", MASKED)]
    assert not world.touched()


@pytest.mark.virtual_time
async def test_an_obstacle_is_none_where_nothing_is_stopped() -> None:
    world = World()
    world.nodes["web2"].installed = world.nodes["web2"].running = "2.0"
    world.nodes["web2"].obstacles = (MASKED,)
    assert not (await world.plan()).errors


@pytest.mark.virtual_time
async def test_an_obstacle_that_cannot_be_looked_for_is_an_error() -> None:
    world = World()
    world.nodes["web2"].faults.add("obstacles", UnreadableReply("web2", "no answer"))
    [error] = (await world.plan()).errors
    assert error.text == "the rights of its service manager cannot be checked: no answer"


@pytest.mark.virtual_time
async def test_an_obstacle_since_the_plan_keeps_its_node_in_rotation() -> None:
    world = World()
    plan = await world.plan()
    world.nodes["web1"].obstacles = (MASKED,)
    ended = await world.carry_out(plan)
    assert (ended.held, world.sent("web1")) == (["web1"], [])
    [failed] = world.events(NodeFailed)
    assert MASKED in failed.error
    assert "left in rotation" in failed.error


@pytest.mark.virtual_time
@pytest.mark.parametrize("unwatched", ["", "Monit does not watch it; first run: monit monitor shop"])
async def test_ready_by_hand_says_that_the_manager_does_not_watch(unwatched: str) -> None:
    world = World()
    world.take_out("web1")
    world.nodes["web1"].unwatched = unwatched
    change = Change("ready", find_nodes(world.application, ["web1"]))
    after = await apply(world.application, change, world.control, world.clock, world.bus)
    assert all(server.in_rotation for server in after)
    notes = [note.text for note in world.events(NodeNote)]
    assert notes == ([f"is in rotation, but {unwatched}"] if unwatched else [])
