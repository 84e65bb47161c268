"""A shell from within the console: it steps aside, and comes back as it was."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from console.demo.stack import Stack
from tests.support.rollouts import OLD, ROLLDECK, tune, world
from tests.support.terminals import Terminal

COLUMNS, LINES = 100, 30


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    async with world(tmp_path / "s", nodes=2, instances=1) as made:
        yield made


async def test_the_console_is_aside_while_a_shell_is_open_and_back_afterwards(stack: Stack) -> None:
    tune(stack, "apps.shop.access", transport="local", prefix="env INSIDE=yes")
    broken = stack.config_path.read_text().replace('ssh = "web2"', 'ssh = "web2", prefix = "/nowhere/inside"')
    stack.config_path.write_text(broken)
    command = [ROLLDECK, "--config", str(stack.config_path)]
    home = {"HOME": str(stack.directory), "SHELL": "/bin/sh", "PS1": "$ "}
    with Terminal(command, COLUMNS, LINES, controlling=True, environment=home) as terminal:
        await terminal.shows("web1", "web2", OLD)
        modes = terminal.modes
        assert "?1049" in modes
        terminal.type(b"oS")
        terminal.until(b"web1: a shell", 30)
        terminal.type(b"echo inside $((6 * 7)) $INSIDE\n")
        terminal.until(b"inside 42 yes", 30)
        await terminal.rests(1.5)  # while the console polls, it paints nothing
        assert "inside 42 yes" in terminal.screen
        assert "web2" not in terminal.screen
        assert "?1049" not in terminal.modes
        terminal.type(b"exit 3\n")
        await terminal.shows("web1", "web2", OLD, "help")
        assert terminal.modes == modes
        assert "inside 42" not in terminal.screen
        terminal.type(b"jS")
        await terminal.shows("No such file or directory", "web1", OLD)
        assert terminal.modes == modes
        terminal.type(b"k\r")
        await terminal.shows("1 state")
        terminal.type(b"5")
        await terminal.shows("shell on web1")
        terminal.type(b"q")
        await terminal.shows("u upgrade")
        terminal.type(b"q")
        assert await terminal.ends() == 0
        assert terminal.unknown == []
