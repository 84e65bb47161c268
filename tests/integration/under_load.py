"""Commands under load, for tests of service managers and installers: no request may fail."""

import signal
from collections.abc import Awaitable

from console.demo.load import Load
from console.demo.stack import Stack
from tests.support.rollouts import NEW, Run, assert_nothing_failed, rolldeck, started, upgrade

RATE = 100  # requests per second


async def upgraded_under_load(stack: Stack, *, slow_share: float = 0.02) -> Run:
    return await _under_load(stack, upgrade(stack), slow_share)


async def rolled_back_under_load(stack: Stack, *, slow_share: float = 0.02) -> Run:
    return await _under_load(stack, rolldeck(stack, "rollback", "shop", "--yes", "--json"), slow_share)


async def resumed_under_load(
    stack: Stack, step: str, *, event: str = "step_started", slow_share: float = 0.02
) -> Run:
    """An upgrade that is killed at this event of this step of the first node, and finished by `resume`."""
    return await _under_load(stack, _killed_and_resumed(stack, event, step), slow_share)


async def _killed_and_resumed(stack: Stack, event: str, step: str) -> Run:
    async with started(stack, "upgrade", "shop", NEW, "--yes", "--json") as running:
        await running.event(event, node="web1", step=step)
        running.signal(signal.SIGKILL)
        await running.end()
    return await rolldeck(stack, "resume", "shop", "--yes", "--json")


async def _under_load(stack: Stack, running: Awaitable[Run], slow_share: float) -> Run:
    """It ends well."""
    async with Load(RATE, stack.frontends, slow_share=slow_share) as load:
        run = await running
        report = await load.stop()
    assert run.code == 0, run.text
    assert_nothing_failed(report, at_least=RATE)
    assert slow_share == 0 or any(kind.slow for kind in report.served), "no slow request came"
    return run
