"""Make sure that the wanted version is on disk."""

from backends.errors import Refused
from backends.protocols import Host
from orchestrator.engine.step_context import Work
from orchestrator.errors import StepFailed
from orchestrator.events.events import CommandStarted


async def install(work: Work) -> str | None:
    """Look at the version; install when it is another one; look again: only that counts.

    Returns:
        What was done; None when the version was there already.

    Raises:
        StepFailed: the installer failed, or another version is there after it.
    """
    installer, wanted = work.node.installer, work.wanted
    if wanted is None:
        return None
    found = await installer.installed()
    if found == wanted:
        return None
    try:
        lost = await work.ask(
            lambda: installer.install(wanted), timeout=work.policy.install_timeout, what="install"
        )
    except Refused as refused:
        raise StepFailed(refused.beside_step(work.node.name)) from refused
    if lost is not None:
        if lost.pid is None:
            raise StepFailed(f"{lost.problem}; whether the installer is still running cannot be checked")
        # Half way, perhaps: the right version on disk proves nothing yet.
        await _until_gone(work, installer.host, lost.pid, lost.started, "the installer")
    now = await installer.installed()
    if now != wanted:
        raise StepFailed(f"after the install the version is {now or 'none'}, expected {wanted}")
    return f"{found or 'nothing'} → {wanted}"


async def await_end(work: Work, command: CommandStarted) -> None:
    """What an earlier rollout had begun may go on: nothing is done beside it.

    Raises:
        StepFailed: it did not end in time, and is named.
    """
    host = work.node.installer.host
    if host.name != command.target:
        host = work.node.host
    what = f"the {command.step} command of an earlier rollout"
    await _until_gone(work, host, command.pid, command.started, what)


async def _until_gone(work: Work, host: Host, pid: int, started: int, what: str) -> None:
    async def gone() -> str | None:
        if await host.alive(pid, started):
            return f"{what} is still running on {host.name}, pid {pid}"
        return None

    await work.until(gone, timeout=work.policy.install_timeout, what="its end")
