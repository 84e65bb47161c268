"""Preflight runs each query of a service manager once, however many questions it answers."""

from collections import Counter
from dataclasses import replace

import pytest

from backends.command import Command
from backends.errors import UnknownOutcome, Unreachable, UnreadableReply
from backends.hosts.execution import query, shared_queries
from backends.services.monit import MonitService, MonitSettings
from backends.services.systemd import SystemdService, SystemdSettings
from orchestrator.preflight.nodes import observe_nodes
from tests.support.fake_fleet import World
from tests.support.scripted_host import Answer, ScriptedHost
from tests.unit.test_services_monit import RUNNING, VERBOSE

UNIT = "Id=shop.service\nLoadState=loaded\nActiveState=active\nSubState=running\nMainPID=812\n"
RELATED = "TriggeredBy=shop.socket\n"


def answer(command: Command) -> Answer:
    if "systemctl" in command.argv:
        return Answer(UNIT if "shop.socket" in command.argv else UNIT + RELATED)
    return Answer(VERBOSE + RUNNING if "-v" in command.argv else RUNNING)


def make_service(host: ScriptedHost, kind: str) -> MonitService | SystemdService:
    if kind == "monit":
        return MonitService(host, MonitSettings(name="shop"), {})
    return SystemdService(host, SystemdSettings(name="shop.service"), {"port": "80"})


@pytest.mark.virtual_time
@pytest.mark.parametrize("kind", ["monit", "systemd"])
async def test_each_query_of_a_manager_runs_once(kind: str) -> None:
    world = World(nodes=1)
    host = ScriptedHost(answer)
    service = make_service(host, kind)
    (node,) = world.application.nodes
    (seen,) = await observe_nodes([replace(node, service=service)])
    assert not seen.findings
    assert seen.caveats
    assert set(Counter(host.ran).values()) == {1}, Counter(host.ran)
    await service.state()
    assert max(Counter(host.ran).values()) == 2, "later it is asked anew"


async def test_queries_on_two_hosts_both_run_and_a_failure_is_not_shared() -> None:
    one, other = ScriptedHost(lambda _: Answer("one")), ScriptedHost(lambda _: Answer("other"))
    command = Command(("true",))
    with shared_queries():
        found = [(await query(host, command, timeout=1)).stdout for host in (one, other, one)]
    assert (found, len(one.ran), len(other.ran)) == (["one", "other", "one"], 1, 1)

    def fail(_: Command) -> Answer:
        raise Unreachable("web1", "gone")

    silent = ScriptedHost(fail)
    with shared_queries():
        for _ in range(2):
            with pytest.raises(Unreachable):
                await query(silent, command, timeout=1)
    assert len(silent.ran) == 2


@pytest.mark.parametrize(("timeout", "runs"), [(60, 2), (0, 1)])
async def test_a_query_is_run_once_more_only_in_the_time_that_is_left(timeout: float, runs: int) -> None:
    def lose(_: Command) -> Answer:
        raise UnknownOutcome("web1", "the connection was lost")

    host = ScriptedHost(lose)
    with pytest.raises(UnreadableReply, match="was lost"):
        await query(host, Command(("true",)), timeout=timeout)
    assert len(host.ran) == runs
