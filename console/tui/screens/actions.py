"""The operator's actions in the console: show the impact, ask, act, and show what was read back.

Each dialog is imported when it is shown, so that the first screen appears sooner.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, cast

from textual.notifications import SeverityLevel
from textual.screen import Screen

from backends.errors import RolldeckError
from backends.model import Level
from console.tui.screens.confirmations import (
    LockAnswer,
    confirm_break_lock,
    confirm_override_freeze,
    confirm_resume,
    confirm_take_over,
)
from console.tui.screens.rollout_actions import ENDED_MEANWHILE, RolloutActions
from console.tui.screens.start import Planner, start_rollout
from console.tui.workers import start_worker
from console.tui.workspace import Workspace
from orchestrator.errors import AlreadyRolledBack
from orchestrator.events.timeline import Timeline
from orchestrator.journal.entry_status import entry_status
from orchestrator.planning.findings import Severity
from orchestrator.session.proposal import Proposal
from orchestrator.session.recovery import describe_unfinished, plan_resume, plan_rollback
from orchestrator.session.takeover import find_offer, take_over
from widgets.table.by_server import RowKey, node_of

if TYPE_CHECKING:
    from orchestrator.engine.manual_change import Action
    from orchestrator.events.events import RolloutEnded
    from orchestrator.events.judgement import VerdictChanged

LEAVE, KEEP, PAUSE, ABORT = "leave", "keep", "pause", "abort"


class OperatorActions:
    """The actions of the main view on the session; every error becomes a notification."""

    def __init__(self, screen: Screen[str], workspace: Workspace, requests: RolloutActions) -> None:
        self._screen = screen
        self._workspace = workspace
        self._session = workspace.session
        self._poller = workspace.poller
        self._read_only = workspace.read_only
        self._requests = requests
        self._changing: set[str] = set()  # nodes
        self.unfinished: Sequence[str] = ()  # what an earlier rollout has left, in words, until one runs
        self._upgrading = False

    @property
    def read_only(self) -> str:
        """Why nothing can be changed; empty when it can. One read-only load balancer is enough."""
        if self._read_only:
            return self._read_only
        low: dict[str, list[str]] = {}
        pages = []
        for instance in self._poller.view.instances:
            if instance.read_only:
                pages.append(instance.name)
            elif instance.level is not None and instance.level is not Level.ADMIN:
                low.setdefault(instance.level.name.lower(), []).append(instance.name)
        levels = [
            f"{', '.join(names)} {'has' if len(names) == 1 else 'have'} level {level}"
            for level, names in low.items()
        ]
        reasons = [f"{' and '.join(levels)}, changes need admin"] if levels else []
        if pages:
            are = "is a statistics page" if len(pages) == 1 else "are statistics pages"
            reasons.append(f"{', '.join(pages)} {are}, changes need a socket")
        return "; ".join(reasons)

    def may_change(self, action: str) -> bool:
        """Return whether this action is possible now."""
        return not self.why_not(action)

    def why_not(self, action: str) -> str:
        """Return why this action is not possible now; empty when it is."""
        if self.read_only:
            how = "" if self._read_only else " (`level admin` at its `stats socket` in haproxy.cfg)"
            return f"read-only: {self.read_only}{how}"
        repairs = ("upgrade", "resume", "roll_back")
        if action in repairs and self._workspace.running_here is not None:
            return "a rollout is running: one at a time"
        if action in repairs and self._upgrading:
            return "an upgrade is being prepared already"
        return ""

    async def change(self, action: str, keys: Sequence[RowKey]) -> bool:
        """Drain, maint, ready or weight for the nodes of these rows; return whether it was done."""
        names = list(dict.fromkeys(node_of(key, self._session.names) for key in keys))
        # A second change of the same node would meet an unfinished one, such as the checks before `ready`.
        if busy := self._changing.intersection(names):
            self._notify(f"{', '.join(sorted(busy))}: another change is still in progress", "warning")
        if busy or not names:
            return False
        self._changing.update(names)
        try:
            return await self._change(action, names)
        finally:
            self._changing.difference_update(names)

    async def _change(self, action: str, names: Sequence[str]) -> bool:
        from console.tui.screens.manual_change import change_nodes

        try:
            read = await change_nodes(self._screen.app, self._workspace, cast("Action", action), names)
        except RolldeckError as error:
            self._notify(str(error), "error")
            return False
        if read is None:
            return False
        self._notify(f"read back: {', '.join(read)}")
        return True

    async def upgrade(self) -> None:
        """Ask for a version, show the plan, start it, and show the result."""
        self._upgrading = True
        try:
            await self._upgrade()
        finally:
            self._upgrading = False

    async def _upgrade(self) -> None:
        from console.tui.screens.version_choices import fill_versions
        from widgets.dialogs.upgrade import UpgradeDialog

        session = self._session
        lock = await self._confirm_break_lock()
        if not lock.proceed:
            return
        freeze = await confirm_override_freeze(self._screen.app, session)
        if freeze is None:
            return
        dialog = UpgradeDialog(
            session.application.name, session.versions.summary(), session.application.policy
        )
        start_worker(self._screen, partial(fill_versions, session, dialog), group="versions", exclusive=True)
        answer = await self._screen.app.push_screen_wait(dialog)
        if answer is None:
            return
        limit, changes = answer.limit, answer.changes

        async def plan() -> Proposal | None:
            found = await session.propose(answer.version, limit=limit, changes=changes, freeze=freeze)
            return replace(found, reason=answer.reason)

        overridden = freeze is Severity.WARNING
        options = {
            "version": answer.version,
            "limit": limit,
            "changes": dict(changes),
            "override_freeze": overridden,
        }
        await self._carry_out("upgrade", plan, lock, options)

    async def resume(self) -> None:
        """Finish an earlier rollout, if there is one."""

        async def plan() -> Proposal | None:
            found = await plan_resume(self._session)
            return found[0] if found is not None else None

        await self._repair("resume", plan, self._take_over)

    async def roll_back(self) -> None:
        """Roll back to the versions before the last rollout, after its plan was reviewed."""
        await self._repair("rollback", partial(plan_rollback, self._session))

    async def _repair(
        self, action: str, plan: Planner, may_go_on: Callable[[], Awaitable[bool]] | None = None
    ) -> None:
        """Ask about the lock and what else has to be asked, then show the plan, which asks for the reason."""
        self._upgrading = True
        try:
            lock = await self._confirm_break_lock()
            if lock.proceed and (may_go_on is None or await may_go_on()):
                await self._carry_out(action, plan, lock)
        except RolldeckError as error:
            self._notify(str(error), "error")
        finally:
            self._upgrading = False

    async def _take_over(self) -> bool:
        """Take over a rollout of another machine, after a question where it cannot be verified.

        Returns:
            Whether the action may go on; not when the operator has left the rollout there.
        """
        offer = await find_offer(self._session)
        if offer is None or (offer.reason and self.read_only):
            return True
        if offer.ignored:
            name = self._session.application.name
            self._notify(f"{offer.reason}; rolldeck resume {name} --trust-published takes it over", "warning")
            return True
        if offer.reason and not await confirm_take_over(self._screen.app, self._session, offer):
            return False
        take_over(self._session, offer)
        return True

    async def offer_resume(self) -> None:
        """Offer on start to finish an earlier rollout."""
        try:
            if not await self._take_over():
                return
            entry, left = self._session.work_log.last_unfinished(), self._session.work_log.unfinished_nodes()
            holder = await self._session.work_log.holder()
        except RolldeckError as error:
            self._notify(str(error), "error")
            return
        if entry is not None and entry_status(entry) == "running":
            return  # the board shows it
        if self.read_only or not (left or entry):
            return
        if holder is not None:
            self._notify(f"an earlier rollout was not finished; {holder} is working on it now")
            return
        lines = [describe_unfinished(unfinished) for unfinished in left.values()]
        if entry is not None and not left:
            lines = [
                f"Rollout {entry.id} ({entry.operator}) to {entry.version} is not finished; no node is out."
            ]
        self.unfinished = lines

        def is_over() -> str:
            active = self._session.active
            return "a rollout is running meanwhile" if active is not None and active.running else ""

        if await confirm_resume(self._screen.app, lines, is_over):
            await self.resume()

    async def _confirm_break_lock(self) -> LockAnswer:
        """Call `confirm_break_lock`, and take an error for a no."""
        try:
            return await confirm_break_lock(self._screen.app, self._session)
        except RolldeckError as error:
            self._notify(str(error), "error")
            return LockAnswer(proceed=False)

    async def _carry_out(
        self, action: str, plan: Planner, lock: LockAnswer, options: Mapping[str, object] | None = None
    ) -> None:
        """Show the plan and start the rollout; see `start_rollout`. Every error becomes a notification."""
        try:
            await start_rollout(self._screen, self._workspace, action, plan, lock, options or {})
        except AlreadyRolledBack as done:
            self._notify(str(done))
        except RolldeckError as error:
            self._notify(str(error), "error")

    async def show_result(self, ended: "RolloutEnded", verdict: "VerdictChanged | None") -> None:
        """Read which versions run now, and show how a rollout has ended."""
        from widgets.dialogs.result import ResultScreen

        session = self._session
        active = session.active
        names = active.state.nodes if active is not None else {}
        await session.versions.read([node for node in session.application.nodes if node.name in names])
        timeline = Timeline.of(active.records) if active is not None else None
        local = session.links.local
        entry = local.entry.id if local is active and local is not None and local.entry is not None else 0
        result = ResultScreen(ended, verdict, timeline=timeline, entry=entry)
        await self._screen.app.push_screen_wait(result)

    async def quit(self) -> str | None:
        """Return what was done about a running rollout; None to stay."""
        from widgets.dialogs.modal import QuitDialog

        if self._workspace.starting:
            self._notify("a rollout is being started: wait until it runs", "warning")
            return None
        if (running := self._workspace.running_here) is None:
            return LEAVE
        if self._read_only:
            return KEEP
        state = running.state

        def is_over() -> str:
            return "" if running.running and running.state is state else ENDED_MEANWHILE

        answer = await self._screen.app.push_screen_wait(QuitDialog().withdraw_when(is_over))
        if answer == "stay":
            return None
        if answer == PAUSE and not await self._requests.request("pause"):
            return None
        if answer == ABORT and not await self._requests.request("abort"):
            return None
        return answer

    def _notify(self, text: str, severity: SeverityLevel = "information", seconds: float = 8) -> None:
        self._screen.notify(text, severity=severity, markup=False, timeout=seconds)
