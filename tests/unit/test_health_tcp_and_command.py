import pytest

from backends.command import Command
from backends.errors import ConfigError, UnknownOutcome, Unreachable
from backends.health.checks import CommandCheck, CommandHealth, TcpCheck, TcpHealth
from backends.health.http import HttpHealth
from backends.hosts.ports import ConsolePort, NodePort
from backends.kinds import HealthCheckFactory, HealthSettings
from backends.node_state import HealthResult
from tests.support.scripted_host import Answer, ScriptedHost

VALUES = {"app": "shop", "node": "web1", "address": "127.0.0.1", "port": "8080"}
BY_CURL = HttpHealth(url="http://{address}:{port}/health", check_from="node")


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        (Answer("all\nfine\n"), HealthResult(True, "fine")),
        (Answer(), HealthResult(True, "exit status 0")),
        (Answer("", "no database\n", 2), HealthResult(False, "exit status 2: no database")),
    ],
)
async def test_health_by_a_command(answer: Answer, result: HealthResult) -> None:
    host = ScriptedHost(lambda _: answer)
    settings = CommandHealth(run="check {port}", timeout=9)
    assert await CommandCheck(host, settings, VALUES).check() == result
    assert host.ran == [Command(("timeout", "9", "sh", "-c", "check 8080"))]
    assert (host.recorded, host.timeouts) == ([], [14])


@pytest.mark.parametrize("error", [UnknownOutcome("web1", "lost"), Unreachable("web1", "lost")])
@pytest.mark.parametrize("settings", [CommandHealth(run="x"), BY_CURL, TcpHealth()])
async def test_a_node_that_cannot_be_asked_is_not_healthy(error: Exception, settings: HealthSettings) -> None:
    def fail(_: Command) -> Answer:
        raise error

    check = HealthCheckFactory(settings, "apps.shop.health", ScriptedHost()).create(
        ScriptedHost(fail), VALUES
    )
    assert await check.check() == HealthResult(False, "lost")


async def test_a_command_can_run_on_the_console() -> None:
    node, console = ScriptedHost(), ScriptedHost()
    settings = CommandHealth(run="check {node}", check_from="console")
    await HealthCheckFactory(settings, "apps.shop.health", console).create(node, VALUES).check()
    assert (node.ran, console.ran) == ([], [settings.command(VALUES)])


def test_who_looks_at_a_port() -> None:
    host = ScriptedHost()
    assert isinstance(TcpHealth().probe(host, VALUES), NodePort)
    assert isinstance(TcpHealth(check_from="console").probe(host, VALUES), ConsolePort)
    check = HealthCheckFactory(TcpHealth(port=9000), "apps.shop.health", host).create(host, VALUES)
    assert isinstance(check, TcpCheck)
    assert check.port == 9000


def test_a_port_is_needed() -> None:
    with pytest.raises(ConfigError, match="expected 1 to 65535"):
        HealthCheckFactory(TcpHealth(), "apps.shop.health", ScriptedHost()).create(
            ScriptedHost(), {**VALUES, "port": "0"}
        )
