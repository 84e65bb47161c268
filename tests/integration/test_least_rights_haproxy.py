"""HAProxy's levels and file rights as docs/least-rights.md has them, on a real HAProxy."""

import re
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from backends.errors import Unreachable
from backends.haproxy import commands
from backends.haproxy.address import HaproxySettings
from backends.haproxy.runtime import Runtime
from backends.model import Admin, ServerRef
from console.demo.stack import Stack
from tests.support.guide import block
from tests.support.rollouts import NEW, edit_haproxy, rolldeck, tune, until_up, world
from tests.support.servers.haproxy import haproxy_paths, running_haproxy
from tests.support.users import MALLORY, OPS, become, needs_root

pytestmark = pytest.mark.skipif(not haproxy_paths(), reason="no haproxy on this machine")

WEB1 = ServerRef("lb1", "shop", "web1")


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    """With sockets of level user and operator beside the one of level admin."""

    def with_levels(text: str) -> str:
        found = re.search(r"stats socket (\S+)\.sock", text)
        assert found
        levels = (
            f"    stats socket {found[1]}-{level}.sock level {level}\n" for level in ("user", "operator")
        )
        return text.replace("global\n", f"global\n{''.join(levels)}", 1)

    async with world(tmp_path / "s", nodes=2) as stack:
        await edit_haproxy(stack, with_levels)
        await until_up(stack, "shop")
        yield stack


@pytest.mark.parametrize("level", ["user", "operator"])
async def test_what_a_level_below_admin_can_do(stack: Stack, level: str) -> None:
    for name, instance in stack.instances.items():
        socket = str(instance.socket).replace(".sock", f"-{level}.sock")
        tune(stack, f"haproxy.{name}", socket=f"unix://{socket}")
    status = await rolldeck(stack, "status")
    assert status.code == 0, status.text
    assert "2 of 2 in rotation" in status.text
    said = f"lb1, lb2: the socket has level {level}; changing states needs admin"
    check = await rolldeck(stack, "check", "shop")
    assert check.code == 3, check.text
    assert said in check.text
    assert ("unknown: HAProxy's configuration file: Permission denied" in check.text) is (level == "user")
    upgrade = await rolldeck(stack, "upgrade", "shop", NEW, "--yes")
    assert upgrade.code == 3, upgrade.text
    assert f"the socket has level {level}" in upgrade.text
    for change in (
        ("drain", "shop", "web1"),
        ("ready", "shop", "web1"),
        ("weight", "shop", "web1", "--to", "1"),
    ):
        refused = await rolldeck(stack, *change, "--yes")
        assert refused.code == 3, refused.text
        assert f"no changes made: lb1, lb2: the socket has level {level}; changing" in refused.text
        assert "`level admin` at its `stats socket`" in refused.text


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that others may enter, as they may not those of pytest."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@needs_root
async def test_the_socket_of_its_own_is_for_its_group(tmp_path: Path, place: Path) -> None:
    line = block("haproxy").splitlines()[1].replace("/run/haproxy", str(place))
    assert "expose-fd" not in line
    line = line.replace("group rolldeck", f"gid {OPS}")
    sections = "backend shop\n    server web1 127.0.0.1:1\n"
    async with running_haproxy(tmp_path / "h", haproxy_paths()[0], sections, global_lines=line):
        balancer = Runtime("lb1", HaproxySettings(socket=f"unix://{place}/rolldeck.sock"))
        with become(MALLORY, OPS):
            await balancer.write(commands.maint(WEB1))
            assert (await balancer.snapshot(["shop"])).servers[0].admin is Admin.FORCED_MAINT
        with become(MALLORY), pytest.raises(Unreachable, match=r"rolldeck\.sock: Permission denied"):
            await balancer.snapshot(["shop"])
