"""Install: look, install when it is missing, look again; and start: asked AND port open."""

import pytest

from backends.errors import Refused, UnknownOutcome, Unreachable, UnreadableReply
from backends.node_state import Activity
from orchestrator.engine.steps.install import await_end, install
from orchestrator.engine.steps.start import start
from orchestrator.engine.steps.stop import stop
from orchestrator.errors import StepFailed, StepTimeout
from orchestrator.events.events import CommandStarted
from tests.support.fake_fleet import World


@pytest.mark.virtual_time
async def test_what_is_there_is_not_installed_again() -> None:
    world = World()
    world.nodes["web1"].installed = "2.0"
    assert await install(world.context()) is None
    assert await install(world.context(wanted=None)) is None
    assert world.nodes["web1"].asked == []


@pytest.mark.virtual_time
@pytest.mark.parametrize(("before", "detail"), [("1.0", "1.0 → 2.0"), (None, "nothing → 2.0")])
async def test_installs_and_looks_again(before: str | None, detail: str) -> None:
    world = World()
    world.nodes["web1"].installed = before
    assert await install(world.context()) == detail
    assert world.nodes["web1"].installed == "2.0"


@pytest.mark.virtual_time
async def test_an_installer_that_succeeds_with_the_wrong_version_has_failed() -> None:
    world = World()
    world.nodes["web1"].installs = "1.9"
    with pytest.raises(StepFailed, match=r"after the install the version is 1\.9, expected 2\.0"):
        await install(world.context())


@pytest.mark.virtual_time
async def test_a_version_that_cannot_be_read_is_no_pass() -> None:
    world = World()
    world.nodes["web1"].faults.add("installed", UnreadableReply("web1", "garbage"))
    with pytest.raises(UnreadableReply):
        await install(world.context())
    assert world.nodes["web1"].asked == []


@pytest.mark.virtual_time
async def test_an_installer_that_fails_is_quoted() -> None:
    space = "exit status 1: No space left on device"
    world = World()
    world.nodes["web1"].faults.add("install", Refused("web1", f"install 2.0: {space}", reason=space))
    with pytest.raises(StepFailed, match=r"^exit status 1: No space left on device$"):
        await install(world.context())


@pytest.mark.virtual_time
async def test_an_installer_that_was_lost_is_waited_for_and_not_started_twice() -> None:
    world = World()
    web1 = world.nodes["web1"]
    web1.processes.add(77)
    web1.faults.add("install", UnknownOutcome("web1", "connection lost", pid=77))

    def ends() -> None:
        web1.processes.discard(77)
        web1.installed = "2.0"

    world.at(90, ends)
    assert await install(world.context()) == "1.0 → 2.0"
    assert world.clock.monotonic() >= 90
    assert web1.asked == []


@pytest.mark.virtual_time
async def test_an_installer_that_never_ends_meets_its_deadline() -> None:
    world = World(install_timeout=50)
    web1 = world.nodes["web1"]
    web1.processes.add(77)
    web1.faults.add("install", UnknownOutcome("web1", "timed out", pid=77))
    with pytest.raises(StepTimeout, match="the installer is still running on web1, pid 77"):
        await install(world.context())


@pytest.mark.virtual_time
async def test_what_an_earlier_rollout_has_begun_is_waited_for_or_named() -> None:
    world = World(install_timeout=50)
    web1 = world.nodes["web1"]
    began = CommandStarted(node="web1", step="install", target="web1", pid=77, started=0)
    await await_end(world.context(), began)  # it has ended
    web1.processes.add(77)
    world.at(30, lambda: web1.processes.discard(77))
    await await_end(world.context(), began)
    assert world.clock.monotonic() >= 30
    web1.processes.add(77)
    words = "the install command of an earlier rollout is still running on web1, pid 77"
    with pytest.raises(StepTimeout, match=words):
        await await_end(world.context(), began)


@pytest.mark.virtual_time
@pytest.mark.parametrize("executed", [True, False])
async def test_a_lost_answer_of_a_process_nobody_can_look_for_never_passes(executed: bool) -> None:
    world = World()
    lost = UnknownOutcome("web1", "connection lost")
    world.nodes["web1"].faults.add("install", lost, executed=executed)
    with pytest.raises(StepFailed, match="whether the installer is still running cannot be checked"):
        await install(world.context())
    assert len(world.nodes["web1"].asked) <= 1, "not asked for a second time"


@pytest.mark.virtual_time
async def test_start_waits_for_the_port() -> None:
    world = World()
    world.nodes["web1"].start_delay = 120  # a Spring Boot start
    await stop(world.context())
    assert await start(world.context()) == "running, port 80 open"
    assert world.nodes["web1"].port_open


@pytest.mark.virtual_time
async def test_what_is_up_is_not_started_again() -> None:
    world = World()
    assert await start(world.context()) is None
    assert world.nodes["web1"].asked == []


@pytest.mark.virtual_time
async def test_a_manager_that_says_running_while_nothing_is_there_is_not_believed() -> None:
    world = World(start_timeout=100)
    await stop(world.context())
    world.nodes["web1"].lies_about_start = True
    with pytest.raises(StepTimeout, match="port 80 is closed"):
        await start(world.context())


@pytest.mark.virtual_time
@pytest.mark.parametrize("said", [Activity.STOPPED, Activity.RUNNING], ids=["stopped", "running, not so"])
async def test_a_service_that_dies_right_after_its_start_is_not_waited_for(said: Activity) -> None:
    """A manager that looks once a minute still calls it running: its process says more."""

    world = World(start_timeout=180, start_grace=10)
    await stop(world.context())
    web1 = world.nodes["web1"]
    web1.start_delay = 3600
    began = world.clock.monotonic()
    world.at(2, lambda: web1.die(said))
    with pytest.raises(StepFailed, match="the service died, and was not up again within 10 s: "):
        await start(world.context())
    assert 12 < world.clock.monotonic() - began < 15


@pytest.mark.virtual_time
async def test_a_service_that_is_started_again_in_time_is_up() -> None:
    world = World(start_timeout=180, start_grace=10)
    await stop(world.context())
    web1 = world.nodes["web1"]
    web1.start_delay = 60  # a large application: also of the second start, long after the grace
    world.at(2, lambda: web1.die(Activity.STOPPED))
    world.at(9, web1.start)
    assert await start(world.context()) == "running, port 80 open"


@pytest.mark.virtual_time
async def test_a_slow_start_is_waited_for_however_short_the_grace_is() -> None:
    world = World(start_timeout=180, start_grace=1)
    await stop(world.context())
    world.nodes["web1"].start_delay = 170
    assert await start(world.context()) == "running, port 80 open"


@pytest.mark.virtual_time
async def test_one_that_its_manager_starts_again_and_again_is_not_waited_for() -> None:
    """Each of its lives is too short for its port; between them the manager says that it tries again."""

    world = World(start_timeout=180, start_grace=10)
    await stop(world.context())
    web1 = world.nodes["web1"]
    web1.start_delay = 3600
    began = world.clock.monotonic()
    for second in range(2, 60, 4):
        world.at(second, lambda: web1.die(Activity.CHANGING))
        world.at(second, lambda: setattr(web1, "retrying", True))
        world.at(second + 2, lambda: setattr(web1, "retrying", False))
        world.at(second + 2, web1.start)
    with pytest.raises(StepFailed, match="the service died, and was not up again within 10 s: "):
        await start(world.context())
    assert 12 < world.clock.monotonic() - began < 17


@pytest.mark.virtual_time
async def test_a_manager_that_has_given_up_ends_the_wait() -> None:
    world = World(start_timeout=100)
    await stop(world.context())
    web1 = world.nodes["web1"]
    web1.lies_about_start = True
    began = world.clock.monotonic()
    world.at(3, lambda: setattr(web1, "activity", Activity.FAILED))
    with pytest.raises(StepFailed, match="its service manager has given up on it: service is failed"):
        await start(world.context())
    assert world.clock.monotonic() - began < 5


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    ("error", "executed", "asked"),
    [
        (UnknownOutcome("web1", "lost"), True, ["start"]),
        (Unreachable("web1", "refused"), False, ["start"]),
    ],
)
async def test_start_is_asked_for_once(error: Exception, executed: bool, asked: list[str]) -> None:
    world = World()
    await stop(world.context())
    web1 = world.nodes["web1"]
    web1.asked.clear()
    web1.faults.add("start", error, executed=executed)
    assert await start(world.context()) == "running, port 80 open"
    assert web1.asked == asked


@pytest.mark.virtual_time
async def test_a_start_that_is_refused_is_quoted() -> None:
    world = World()
    await stop(world.context())
    world.nodes["web1"].faults.add("start", Refused("web1", "unit is masked"))
    with pytest.raises(StepFailed, match=r"^refused: unit is masked$"):
        await start(world.context())
