"""An upgrade as an operator does it: by the keys of the console in a real terminal, under load."""

from console.demo.load import Load
from console.demo.stack import Stack
from tests.support.rollouts import NEW, OLD, ROLLDECK, admin_states, assert_nothing_failed
from tests.support.terminals import Terminal


async def upgrade_by_console(stack: Stack, slow_share: float = 0.02) -> None:
    """To NEW; 100 requests per second, of which none fails, and every server is in rotation at the end.

    Args:
        stack: with the version OLD.
        slow_share: of requests that take two seconds, where the application has such.
    """
    first, *_, last = stack.nodes
    async with Load(100, stack.frontends, slow_share=slow_share) as load:
        with Terminal([ROLLDECK, "--config", str(stack.config_path)], 120, 40) as terminal:
            await terminal.shows(first, last, OLD)
            terminal.type(b"u")
            await terminal.shows("Upgrade shop")
            terminal.type(NEW.encode() + b"\r")
            await terminal.shows(f"shop → {NEW}", "Start", seconds=30)
            terminal.type(b"\x1b[C\r")
            await terminal.shows("✓ healthy", "everything is in rotation", seconds=120)
        report = await load.stop()
    assert_nothing_failed(report, at_least=100)
    assert await admin_states(stack) == {0}
