"""Containers: commands by equality, and what the two engines print."""

from typing import Literal

import msgspec
import pytest

from backends.command import Command
from backends.errors import PermissionDenied, Refused, UnreadableReply
from backends.installers.command import CommandInstall, SymlinkInstall
from backends.installers.compose import ComposeInstall
from backends.installers.container import ContainerInstall
from backends.installers.packages import AptInstall
from backends.kinds import InstallSettings, creates_containers
from backends.node_state import Activity, ServiceState
from backends.services.container import ContainerService, ContainerSettings
from backends.services.container_output import (
    InspectedCreation,
    InspectedState,
    RestartPolicy,
    reboot_caveat,
    state_of,
)
from tests.support.scripted_host import Answer, ScriptedHost

DOCKER = (
    '{"Status":"running","Running":true,"Paused":false,"Restarting":false,"OOMKilled":false,'
    '"Dead":false,"Pid":4711,"ExitCode":0,"Error":"","StartedAt":"2026-11-23T08:31:24.9Z",'
    '"FinishedAt":"0001-01-01T00:00:00Z"}\n'
)
PODMAN = (
    '{"OciVersion":"1.0.2-dev","Status":"exited","Running":false,"Paused":false,'
    '"Restarting":false,"OOMKilled":false,"Dead":false,"Pid":0,"ExitCode":7,"Error":"",'
    '"Health":{"Status":"","FailingStreak":0,"Log":null},"RestoredAt":"0001-01-01T00:00:00Z"}\n'
)


def service(answer: Answer) -> tuple[ContainerService, ScriptedHost]:
    host = ScriptedHost(lambda _: answer)
    return ContainerService(host, ContainerSettings(name="shop", stop_timeout=90), {}), host


def test_commands() -> None:
    settings = ContainerSettings(
        name="shop-{node}",
        engine="podman",
        engine_options="--root '/srv/my pods' --cgroup-manager=cgroupfs",
        stop_timeout=20,
    )
    container = ContainerService(ScriptedHost(), settings, {"node": "web1"})
    engine = ("podman", "--root", "/srv/my pods", "--cgroup-manager=cgroupfs")
    assert container.stop_command() == Command((*engine, "stop", "-t", "20", "shop-web1"))
    assert container.start_command() == Command((*engine, "start", "shop-web1"))
    show = '{{if eq .Name "shop-web1" "/shop-web1"}}{{json .State}}{{else}}no such container{{end}}'
    assert container.state_command() == Command(
        (*engine, "inspect", "--type", "container", "--format", show, "shop-web1")
    )


@pytest.mark.parametrize(
    ("text", "state"),
    [
        (DOCKER, ServiceState(Activity.RUNNING, 4711, "running")),
        (PODMAN, ServiceState(Activity.FAILED, None, "exited, exit status 7")),
    ],
)
async def test_states_as_printed(text: str, state: ServiceState) -> None:
    container, host = service(Answer(text))
    assert await container.state() == state
    assert host.recorded == []


@pytest.mark.parametrize(
    ("inspected", "activity", "detail"),
    [
        (InspectedState("created"), Activity.STOPPED, "created"),
        (InspectedState("exited"), Activity.STOPPED, "exited, exit status 0"),
        (InspectedState("exited", exit_code=143), Activity.STOPPED, "exited, exit status 143"),
        (InspectedState("exited", exit_code=137), Activity.STOPPED, "exited, exit status 137"),
        (
            InspectedState("exited", exit_code=137, oom_killed=True),
            Activity.FAILED,
            "exited, exit status 137, killed for lack of memory",
        ),
        (
            InspectedState("created", exit_code=127, error="no such\nfile"),
            Activity.FAILED,
            "created, no such file",
        ),
        (InspectedState("restarting", exit_code=1), Activity.CHANGING, "restarting, exit status 1"),
        (InspectedState("removing"), Activity.CHANGING, "removing"),
        (InspectedState("stopping"), Activity.CHANGING, "stopping"),
        (InspectedState("paused"), Activity.FAILED, "paused"),
        (InspectedState("dead"), Activity.FAILED, "dead"),
    ],
)
def test_states(inspected: InspectedState, activity: Activity, detail: str) -> None:
    again = inspected.status == "restarting"
    ends = inspected.status in ("removing", "stopping")
    assert state_of(inspected) == ServiceState(activity, None, detail, retrying=again, stopping=ends)


def test_the_process_id_is_told_while_the_engine_shows_one() -> None:
    assert state_of(InspectedState("stopping", pid=12)).pid == 12


@pytest.mark.parametrize(
    "said",
    [
        "Error: No such container: shop",
        "Error response from daemon: No such container: shop",
        "Error: No such object: shop",
        'Error: inspecting object: no such container "shop"',
    ],
)
async def test_a_container_that_does_not_exist_is_stopped(said: str) -> None:
    container, _ = service(Answer("\n", f"{said}\n", 1))
    assert await container.state() == ServiceState(Activity.STOPPED, None, "no such container: shop")


@pytest.mark.parametrize(
    "answer",
    [
        Answer("", "Cannot connect to the Docker daemon at unix:///var/run/docker.sock.", 1),
        Answer("sh: docker: not found", "", 127),
        Answer(""),
        Answer("{}"),
        Answer('{"Status":'),
        Answer('{"Status":"unknown"}'),
        Answer('{"Status":"running","Pid":"many"}'),
    ],
)
async def test_states_that_cannot_be_told(answer: Answer) -> None:
    container, _ = service(answer)
    with pytest.raises(UnreadableReply, match="inspect shop"):
        await container.state()


async def test_the_engine_gets_more_time_than_the_application() -> None:
    container, host = service(Answer("shop\n"))
    await container.stop()
    assert host.timeouts[0] > 90
    assert host.tracked == [container.stop_command()]


async def test_refusals_carry_all_of_the_words() -> None:
    said = "Error response from daemon: driver failed\nError: failed to start containers: shop\n"
    container, _ = service(Answer("", said, 1))
    with pytest.raises(Refused, match="driver failed; Error: failed to start containers"):
        await container.start()


async def test_no_right_to_use_the_engine() -> None:
    said = "permission denied while trying to connect to the Docker daemon socket\n"
    container, _ = service(Answer("", said, 1))
    with pytest.raises(PermissionDenied):
        await container.stop()


def test_settings_refuse_an_unknown_engine_and_a_wait_for_ever() -> None:
    with pytest.raises(msgspec.ValidationError, match="engine"):
        msgspec.convert({"kind": "container", "name": "a", "engine": "x"}, ContainerSettings)
    with pytest.raises(msgspec.ValidationError, match=">= 0"):
        msgspec.convert({"kind": "container", "name": "a", "stop_timeout": -1}, ContainerSettings)


@pytest.mark.parametrize(
    ("health", "engine", "activity", "detail"),
    [
        ("healthy", "docker", Activity.RUNNING, "running"),
        ("none", "docker", Activity.RUNNING, "running"),
        ("", "podman", Activity.RUNNING, "running"),
        ("starting", "docker", Activity.CHANGING, "running, its own health check has not passed yet"),
        ("starting", "podman", Activity.RUNNING, "running"),  # without systemd it runs none, for ever
        ("unhealthy", "docker", Activity.CHANGING, "running, unhealthy by its own health check"),
        ("unhealthy", "podman", Activity.CHANGING, "running, unhealthy by its own health check"),
    ],
)
async def test_its_own_health_check(
    health: str, engine: Literal["docker", "podman"], activity: Activity, detail: str
) -> None:
    text = f'{{"Status":"running","Pid":7,"Health":{{"Status":"{health}","Log":null}}}}'
    container = ContainerService(ScriptedHost(lambda _: Answer(text)), settings_of(engine), {})
    checked = health not in ("", "none")
    assert await container.state() == ServiceState(activity, 7, detail, self_checked=checked)


@pytest.mark.parametrize(
    ("last", "words"),
    [
        ('{"ExitCode":1,"Output":"cat: /well:\\n no such file\\n"}', ": cat: /well: no such file"),
        ('{"ExitCode":7,"Output":" \\n"}', ": exit status 7"),
        ('{"Start":"2026-11-28T20:23:12Z"}', ""),
    ],
)
async def test_its_own_health_check_says_why(last: str, words: str) -> None:
    log = f'[{{"ExitCode":9,"Output":"an older one"}},{last}]'
    text = f'{{"Status":"running","Health":{{"Status":"unhealthy","Log":{log}}}}}'
    container = ContainerService(ScriptedHost(lambda _: Answer(text)), settings_of("docker"), {})
    assert (await container.state()).detail == f"running, unhealthy by its own health check{words}"


def settings_of(engine: Literal["docker", "podman"]) -> ContainerSettings:
    return ContainerSettings(name="shop", engine=engine)


async def test_one_that_is_paused_says_what_ends_that() -> None:
    container, _ = service(Answer('{"Status":"paused","Pid":7}'))
    state = await container.state()
    assert state.unwatched == "it is paused, which `docker unpause shop` ends"


@pytest.mark.parametrize(
    ("policy", "caveat"),
    [
        ("", "no restart policy: after a reboot"),
        ("no", "no restart policy: after a reboot"),
        ("on-failure", "the restart policy on-failure: after a reboot"),
        ("always", "even while it is stopped for an upgrade"),
        ("unless-stopped", ""),
    ],
)
def test_what_becomes_of_it_at_a_reboot(policy: str, caveat: str) -> None:
    found = reboot_caveat(InspectedCreation(RestartPolicy(policy), auto_remove=False))
    assert caveat in found
    assert bool(caveat) is bool(found)


@pytest.mark.parametrize(
    ("labels", "active", "obstacle"),
    [
        ("null", True, ""),
        ('{"PODMAN_SYSTEMD_UNIT":"shop.service"}', True, "is run by the systemd unit shop.service"),
        ('{"PODMAN_SYSTEMD_UNIT":"shop.service"}', False, ""),
        ('{"PODMAN_SYSTEMD_UNIT":"--now"}', True, ""),
        ('{"PODMAN_SYSTEMD_UNIT":"podman-compose@a.service","io.podman.compose.project":"a"}', True, ""),
        ('{"io.kubernetes.pod.name":"shop-7"}', False, "belongs to the pod of Kubernetes shop-7"),
        ('{"com.hashicorp.nomad.alloc_id":"4f"}', False, "belongs to the allocation of Nomad 4f"),
    ],
)
async def test_who_else_would_start_it_again(labels: str, active: bool, obstacle: str) -> None:
    creation = f'{{"RestartPolicy":{{"Name":"no"}},"AutoRemove":false,"Labels":{labels}}}'

    def answer(command: Command) -> Answer:
        return Answer(exit_status=0 if active else 3) if command.argv[0] == "sh" else Answer(creation)

    container = ContainerService(ScriptedHost(answer), ContainerSettings(name="shop"), {})
    found = await container.obstacles()
    assert (len(found), obstacle in "".join(found)) == (bool(obstacle), True)


@pytest.mark.parametrize(
    ("install", "creates"),
    [
        (AptInstall(package="shop"), False),
        (SymlinkInstall(releases="/opt/shop/releases", link="/opt/shop/current"), False),
        (CommandInstall(run="deploy {version}"), None),
        (ComposeInstall(file="/srv/compose.yaml", service="web", name="shop-web-1"), True),
        (ContainerInstall(name="shop", image="shop", create="docker create {image}:{version}"), True),
    ],
)
def test_whether_an_install_creates_containers(install: InstallSettings, creates: bool | None) -> None:
    assert creates_containers(install) is creates
