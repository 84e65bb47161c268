"""`rolldeck logs` and `rolldeck shell` on a node of the demo, which is reached over SSH."""

import asyncio

from console.demo.stack import Stack
from tests.support.rollouts import ROLLDECK, into, rolldeck, tune
from tests.support.terminals import Terminal
from tests.support.wait import until


async def test_a_shell_on_a_node(small: Stack) -> None:
    command = [ROLLDECK, "--config", str(small.config_path), "shell", "shop", "web1"]
    with Terminal(command, 100, 30, controlling=True) as terminal:
        await terminal.shows("web1$")
        terminal.type(b"./appctl status; stty size; echo $TERM\r")
        await terminal.shows("running, pid ", "30 100", "xterm-256color")
        terminal.resize(90, 25)
        terminal.type(b"sleep 0.2; stty size; exit 7\r")
        await terminal.shows("25 90")
        assert await terminal.ends() == 7
    with Terminal(command, 100, 30, controlling=True) as terminal:
        await terminal.shows("web1$")
        terminal.type(b"echo ab''out; trap 'touch left; exit' HUP; while :; do sleep 0.1; done\r")
        await terminal.shows("about")
        small.ssh_hosts["web1"].drop()
        assert await terminal.ends() == 1
    left = small.nodes["web1"].directory / "left"
    await until(left.exists)


async def test_the_last_lines_and_a_log_that_nobody_knows(small: Stack) -> None:
    shown = await rolldeck(small, "logs", "shop", "web1", "-n", "1")
    assert (shown.code, "listens on port" in shown.out) == (0, True)
    tune(small, "apps.shop.service", log_command="")
    unknown = await rolldeck(small, "logs", "shop", "web1")
    assert unknown.code == 1
    assert "set `log`, its path, or `log_command`" in unknown.err

    log = small.directory / "{node}.log"
    tune(small, "apps.shop.service", log=str(log))
    missing = await rolldeck(small, "logs", "shop", "web1")
    assert missing.code == 1
    assert "No such file" in missing.err

    for name in small.nodes:
        (small.directory / f"{name}.log").write_text(f"one\n\x1b[31mof {name}\x1b[0m\x1b]0;x\x07\n" * 40)
    async with asyncio.timeout(60):  # it ends although no other line comes
        code, err = await into("| head -n 1", small, "logs", "shop", "web2", "--follow")
    assert (code, err) == (0, f"web2: {small.directory}/web2.log\n")
    run = await rolldeck(small, "logs", "shop", "web2", "-n", "3")
    assert (run.code, run.err) == (0, "")
    assert run.out.splitlines() == ["of web2\\x1b]0;x\\x07", "one", "of web2\\x1b]0;x\\x07"]
    assert (await rolldeck(small, "logs", "shop", "web9")).code == 3
