"""Make sure that the wanted version is on disk."""

from backends.errors import Refused, UnknownOutcome
from orchestrator.errors import StepFailed
from orchestrator.work import Work


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
        raise StepFailed(f"install failed: {refused}") from refused
    if lost is not None:
        await _await_end(work, lost)
    now = await installer.installed()
    if now != wanted:
        raise StepFailed(f"after the install the version is {now or 'none'}, expected {wanted}")
    return f"{found or 'nothing'} → {wanted}"


async def _await_end(work: Work, lost: UnknownOutcome) -> None:
    """An installer whose answer was lost may be half way: the right version on disk proves nothing yet."""
    if lost.pid is None:
        raise StepFailed(f"install: {lost.problem}; whether the installer still runs cannot be seen")
    pid = lost.pid
    await work.until(lambda: _gone(work, pid), timeout=work.policy.install_timeout, what="installer to end")


async def _gone(work: Work, pid: int) -> str | None:
    if await work.node.host.alive(pid):
        return f"the installer still runs there as process {pid}"
    return None
