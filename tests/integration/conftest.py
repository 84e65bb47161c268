"""Fixtures of the integration tests: a short folder, an sshd, and HAProxy behind its Runtime API."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from backends.hosts.ssh import SshHost
from console.demo.stack import Stack
from tests.integration.runtime_haproxy import SECTIONS
from tests.integration.ssh_logins import settings
from tests.support.free_ports import free_port
from tests.support.servers.haproxy import RunningHaproxy, running_haproxy
from tests.support.servers.http_server import Answering, answering
from tests.support.servers.sshd import Sshd, running_sshd
from tests.support.stacks import TunedStack


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "s"  # short: unix sockets will be in it


@pytest.fixture
async def small(place: Path) -> AsyncIterator[Stack]:
    """Two nodes behind one HAProxy, with applications that start at once."""
    async with TunedStack(place, nodes=2, instances=1, start_delay=0.0) as stack:
        yield stack


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Sshd]:
    with running_sshd(tmp_path) as server:
        yield server


@pytest.fixture
async def host(sshd: Sshd) -> AsyncIterator[SshHost]:
    """A node behind that sshd, whose connection is checked often."""
    host = SshHost("web1", sshd.alias, settings(sshd, keepalive_interval=0.2))
    yield host
    await host.close()


@pytest.fixture
async def app() -> AsyncIterator[Answering]:
    async with answering() as answers:
        yield answers


@pytest.fixture
def front() -> int:
    return free_port()


@pytest.fixture
async def haproxy(tmp_path: Path, binary: Path, app: Answering, front: int) -> AsyncIterator[RunningHaproxy]:
    """The HAProxy of `runtime_haproxy`, in the version with which the test is parametrized."""
    sections = SECTIONS.format(front=front, other=free_port(), app=app.app_port, agent=app.agent_port)
    async with running_haproxy(tmp_path / "h", binary, sections) as running:
        yield running
