"""What others add without touching our code: a service manager and a source of nodes."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import msgspec
import pytest

from backends import kinds
from backends.command import Command
from backends.errors import ConfigError, Unreachable
from backends.haproxy.address import HaproxySettings
from backends.installers.command import SymlinkInstall
from backends.local_machine import operator_environment
from backends.node_state import LogSource, ServiceState
from backends.protocols import Host
from orchestrator.events.actor import Actor
from orchestrator.inventory.source import FoundNode, NodeSettings, check_nodes
from orchestrator.session.factory import open_session
from orchestrator.session.session import Session
from orchestrator.settings import Access, ApplicationSettings, HookSettings, Settings

if TYPE_CHECKING:
    from orchestrator.events.events import NodeNote


class RunitSettings(msgspec.Struct, kw_only=True, frozen=True):
    """A service that runit keeps."""

    name: str


class RunitService:
    """Implements `ServiceManager`."""

    def __init__(self, host: Host, settings: RunitSettings, values: Mapping[str, str]) -> None:
        self._name = settings.name.format(**values)

    def stop_command(self) -> Command:
        return Command(("sv", "stop", self._name))

    def start_command(self) -> Command:
        return Command(("sv", "start", self._name))

    async def state(self) -> ServiceState:
        raise NotImplementedError

    async def obstacles(self) -> tuple[str, ...]:
        return ()

    async def caveats(self) -> tuple[str, ...]:
        return ()

    async def last_lines(self) -> tuple[str, ...]:
        return ()

    async def log_source(self, lines: int, *, follow: bool) -> LogSource:
        return LogSource("svlogd", Command(("tail", "-F", "/var/log/sv/current")))

    async def stop(self) -> None:
        raise NotImplementedError

    async def start(self) -> None:
        raise NotImplementedError


class Etcd:
    """Implements `NodeSource`: nodes are what a test puts there."""

    name = "etcd"
    confirms_changes = True

    def __init__(self, *names: str) -> None:
        self.nodes = {name: FoundNode(f"/shop/{name}", f"10.0.0.{name[-1]}", 80) for name in names}
        self._changed = asyncio.Event()
        self.problem: Exception | None = None

    def put(self, nodes: Mapping[str, FoundNode], problem: Exception | None = None) -> None:
        self.nodes, self.problem = dict(nodes), problem
        self._changed.set()

    async def read(self) -> Mapping[str, NodeSettings]:
        return check_nodes(self.nodes)

    async def watch(self) -> AsyncGenerator[Mapping[str, FoundNode], None]:
        while True:
            if self.problem is not None:
                raise self.problem
            yield self.nodes
            await self._changed.wait()
            self._changed.clear()

    def registration(self, node: str, host: Host, values: Mapping[str, str]) -> None:
        return None

    def remarks(self) -> tuple[()]:
        return ()


SERVICE: Any = RunitSettings(name="{app}-{node}")
SHOP = ApplicationSettings(
    backends=["shop"],
    service=SERVICE,
    install=SymlinkInstall(releases="/releases", link="/current"),
    access=Access(transport="local"),
)
SETTINGS = Settings(haproxy={"lb1": HaproxySettings(socket="unix:///nowhere.sock")}, apps={"shop": SHOP})


@pytest.fixture(autouse=True)
def _runit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kinds, "_KINDS", dict(kinds._KINDS))
    kinds.register_service(RunitSettings, RunitService)


def opened(folder: Path, source: Etcd, settings: Settings = SETTINGS) -> AbstractAsyncContextManager[Session]:
    journal = folder / "journal.db"
    return open_session(settings, "shop", actor=Actor("me"), journal=journal, source=source)


def names(session: Session) -> list[str]:
    return [node.name for node in session.application.nodes]


async def settle() -> None:
    """Let everything that has something to do do it."""
    await asyncio.sleep(0.1)


@pytest.mark.virtual_time
async def test_a_service_manager_and_a_source_of_nodes_are_used(tmp_path: Path) -> None:
    async with opened(tmp_path, Etcd("web1", "web2")) as session:
        assert names(session) == ["web1", "web2"]
        node = session.application.nodes[1]
        assert node.service.stop_command() == Command(("sv", "stop", "shop-web2"))
        assert (node.addresses, node.port) == (frozenset({"10.0.0.2"}), 80)
        assert node.registration is None


@pytest.mark.virtual_time
async def test_nodes_that_come_and_go_there_are_followed_and_told(tmp_path: Path) -> None:
    source = Etcd("web1", "web2")
    async with opened(tmp_path, source) as session:
        notes: list[str] = []
        session.bus.subscribe(lambda record: notes.append(cast("NodeNote", record.event).text))
        await settle()
        first = session.application.nodes[0]
        source.put(Etcd("web1", "web3").nodes)
        await settle()
        assert names(session) == ["web1", "web3"]
        assert session.application.nodes[0] is first, "it is built once"
        assert notes == ["etcd: web3 came, web2 went"]
        assert session.inventory.words() == "web3 came, web2 went, 0 s ago"
        assert session.inventory.endpoints()["web2"] == {"address": "10.0.0.2", "port": 80, "ssh": ""}


@pytest.mark.virtual_time
async def test_during_a_rollout_differences_are_asked_about_and_nothing_is_taken_over(tmp_path: Path) -> None:
    source = Etcd("web1", "web2")
    async with opened(tmp_path, source) as session:
        await settle()
        nodes = session.application.nodes
        session.activity.is_rolling = True
        source.put({"web1": FoundNode("/shop/web1", "10.0.0.9", 80)})
        await settle()
        assert session.application.nodes is nodes
        assert session.inventory.differences(nodes) == {
            "web1": "web1 is at 10.0.0.9:80 in etcd now",
            "web2": "etcd does not have web2 any more",
        }
        source.confirms_changes = False
        assert session.inventory.differences(nodes) == {}


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    ("nodes", "problem", "doubt"),
    [
        ({}, None, "etcd has no instances any more: it may have lost its data; the previous nodes"),
        (
            {"web1": FoundNode("x", "$(id)", 80)},
            None,
            "the data of etcd cannot be used, the previous nodes are",
        ),
        ({}, ConfigError("", "shop", "is no node"), "cannot be used, the previous nodes are kept: shop"),
        (
            {},
            ValueError("a defect"),
            "the data of etcd cannot be used, the previous nodes are kept: ValueErr",
        ),
        (
            {},
            Unreachable("etcd", "no answer"),
            "etcd does not answer, the previous nodes are kept: no answer",
        ),
    ],
)
async def test_what_cannot_be_used_changes_no_node_and_is_a_doubt(
    tmp_path: Path, nodes: Mapping[str, FoundNode], problem: Exception | None, doubt: str
) -> None:
    source = Etcd("web1", "web2")
    async with opened(tmp_path, source) as session:
        await settle()
        source.put(nodes, problem)
        await settle()
        assert names(session) == ["web1", "web2"]
        assert doubt in "".join(session.inventory.doubts())
        source.put(Etcd("web1").nodes)
        await asyncio.sleep(2)  # it is asked again after a pause
        assert names(session) == ["web1"]
        assert session.inventory.doubts() == []


@pytest.mark.virtual_time
async def test_no_process_gets_the_secrets_that_settings_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = ("STATS_SECRET", "HOOK_SECRET", "OWN_HOOK_SECRET")
    for name in named:
        monkeypatch.setenv(name, "hunter2")

    def hook(name: str) -> HookSettings:
        return HookSettings(events=["failure"], url="http://127.0.0.1:9/", token_env=name)

    stats = HaproxySettings(stats_url="http://127.0.0.1:9/", username="me", password_env=named[0])
    app = msgspec.structs.replace(SHOP, hooks=[hook(named[2])])
    settings = Settings(haproxy={"lb1": stats}, hooks=[hook(named[1])], apps={"shop": app})

    async with opened(tmp_path, Etcd("web1"), settings):
        assert not operator_environment().keys() & set(named)
