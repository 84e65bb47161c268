"""`rolldeck logs` on a node that is reached over SSH."""

from console.demo.stack import Stack
from tests.support.rollouts import rolldeck, tune


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
    run = await rolldeck(small, "logs", "shop", "web2", "-n", "3")
    assert (run.code, run.err) == (0, "")
    assert run.out.splitlines() == ["of web2\\x1b]0;x\\x07", "one", "of web2\\x1b]0;x\\x07"]
    assert (await rolldeck(small, "logs", "shop", "web9")).code == 3
