"""The operator's actions in the console: show the impact, ask, act, and show what was read back.

Each dialog is imported when it is shown, so that the first screen appears sooner.
"""

from collections.abc import Sequence
from typing import cast

from textual.screen import Screen
from textual.worker import WorkerCancelled

from backends.errors import RolldeckError
from backends.model import Level
from console.operator_identity import current_operator
from console.tui.screens.confirmations import (
    LockAnswer,
    confirm_abort,
    confirm_break_lock,
    confirm_override_freeze,
    confirm_resume,
    confirm_take_over,
)
from orchestrator.engine import manual_change
from orchestrator.engine.manual_change import Action, Change, Impact
from orchestrator.engine.plan_differences import Difference
from orchestrator.errors import AlreadyRolledBack
from orchestrator.events.text import format_health
from orchestrator.journal.entry_status import entry_status
from orchestrator.live.poller import Poller
from orchestrator.planning.plan import Plan
from orchestrator.session.proposal import Proposal, make_manual_change
from orchestrator.session.recovery import describe_unfinished, plan_resume, plan_rollback
from orchestrator.session.session import Session
from orchestrator.session.takeover import find_offer, take_over
from widgets.table.by_server import RowKey, node_of

LEAVE, KEEP, PAUSE, ABORT = "leave", "keep", "pause", "abort"
SWITCH = "application: "  # with its name, the result of a console that opens another application


class OperatorActions:
    """The actions of the main view on the session; every error becomes a notification."""

    def __init__(self, screen: Screen[str], session: Session, poller: Poller, read_only: str) -> None:
        self._screen = screen
        self._session = session
        self._poller = poller
        self._read_only = read_only
        self._changing: set[str] = set()  # nodes
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
        if action == "application":
            rolling = self._session.is_rolling or self._changing
            return f"{self._session.application.name} is being worked on" if rolling else ""
        if self.read_only:
            how = "" if self._read_only else " (`level admin` at its `stats socket` in haproxy.cfg)"
            return f"read-only: {self.read_only}{how}"
        repairs = ("upgrade", "resume", "roll_back")
        if action in repairs and self._session.is_rolling:
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
        from widgets.dialogs.change import ChangeDialog

        try:
            lock = await confirm_break_lock(self._screen.app, self._session)
            if not lock.proceed:
                return False
            application = await self._session.load_all_nodes()
            change = Change(cast("Action", action), manual_change.find_nodes(application, names))
            weights = self._session.work_log.original_weights()
            impact = await manual_change.read_impact(application, change, weights)

            async def ask(now: Impact, differences: Sequence[Difference] = ()) -> Change | None:
                dialog = ChangeDialog(change.action, now, differences)
                answer = await self._screen.app.push_screen_wait(dialog)
                if answer is None:
                    return None
                return Change(change.action, change.nodes, answer.weight, answer.override)

            if (chosen := await ask(impact)) is None:
                return False
            after = await make_manual_change(self._session, chosen, impact, ask, break_lock=lock.break_lock)
        except RolldeckError as error:
            self._notify(str(error), "error")
            return False
        read = ", ".join(
            f"{server.ref.server} on {server.ref.instance}: {server.admin_state} {format_health(server)}"
            for server in after
        )
        self._notify(f"read back: {read}")
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
        self._screen.run_worker(fill_versions(session, dialog), group="versions", exclusive=True)
        answer = await self._screen.app.push_screen_wait(dialog)
        if answer is None:
            return
        try:
            self._notify("running preflight checks…", seconds=2)
            proposal = await session.propose(
                answer.version, limit=answer.limit, changes=answer.changes, freeze=freeze
            )
        except RolldeckError as error:
            self._notify(str(error), "error")
            return
        await self._carry_out(proposal, lock)

    async def resume(self) -> None:
        """Finish an earlier rollout, if there is one."""
        self._upgrading = True
        try:
            lock = await self._confirm_break_lock()
            if not lock.proceed or not await self._take_over():
                return
            found = await plan_resume(self._session)
            if found is None:
                self._notify("nothing to resume")
            else:
                await self._carry_out(found[0], lock)
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
        if offer.reason and not await confirm_take_over(self._screen.app, offer):
            return False
        take_over(self._session, offer)
        return True

    async def roll_back(self) -> None:
        """Roll back to the versions before the last rollout, after its plan was reviewed."""
        self._upgrading = True
        try:
            lock = await self._confirm_break_lock()
            if lock.proceed:
                await self._carry_out(await plan_rollback(self._session), lock)
        except AlreadyRolledBack as done:
            self._notify(str(done))
        except RolldeckError as error:
            self._notify(str(error), "error")
        finally:
            self._upgrading = False

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
            self._notify(
                f"rollout {entry.id} to {entry.version} is running on another machine, by {entry.operator}"
            )
            return
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
        if await confirm_resume(self._screen.app, lines):
            await self.resume()

    async def _confirm_break_lock(self, before: LockAnswer | None = None) -> LockAnswer:
        """Call `confirm_break_lock`, and take an error for a no.

        Args:
            before: the answer given when the action began; only another holder is asked about again.
        """
        try:
            return await confirm_break_lock(
                self._screen.app, self._session, before.locked_by if before else None
            )
        except RolldeckError as error:
            self._notify(str(error), "error")
            return LockAnswer(proceed=False)

    async def _carry_out(self, proposal: Proposal, lock: LockAnswer) -> None:
        """Show the plan, run the rollout, and show its result.

        Args:
            proposal: the plan, which was made after the question about the lock.
            lock: the answer to that question.
        """
        from widgets.dialogs.plan import PlanScreen
        from widgets.dialogs.result import ResultScreen

        session = self._session
        # Notifications would cover the buttons of the plan.
        self._screen.app.clear_notifications()
        if not await self._screen.app.push_screen_wait(PlanScreen(proposal.plan)):
            return
        lock = await self._confirm_break_lock(lock)  # somebody may have taken it while the plan was read
        if not lock.proceed:
            return
        session.start(proposal, break_lock=lock.break_lock, agree=self._confirm_changed_plan)
        try:
            ended = await session.finished()
        except RolldeckError as error:
            self._notify(str(error), "error")
            return
        await session.versions.read(
            [node for node in session.application.nodes if node.name in session.state.nodes]
        )
        if ended is not None:
            await self._screen.app.push_screen_wait(ResultScreen(ended, session.state.verdict))

    async def _confirm_changed_plan(self, plan: Plan, differences: Sequence[Difference]) -> bool:
        """Show the changed plan and ask again. A closed console agrees to nothing."""
        from widgets.dialogs.plan import PlanScreen

        async def ask() -> bool:
            return await self._screen.app.push_screen_wait(PlanScreen(plan, differences))

        try:
            return await self._screen.run_worker(ask(), group="upgrade").wait()
        except WorkerCancelled:
            return False

    async def abort(self) -> None:
        """Ask, then end the rollout; a second abort ends it at once."""
        control = self._session.control
        if await confirm_abort(self._screen.app, second=control.aborting):
            control.abort(current_operator("console"))

    async def quit(self) -> str | None:
        """Return what to do with a running rollout; None to stay."""
        from widgets.dialogs.modal import QuitDialog

        if not self._session.is_rolling:
            return LEAVE
        answer = await self._screen.app.push_screen_wait(QuitDialog())
        return None if answer == "stay" else answer

    def _notify(self, text: str, severity: str = "information", seconds: float = 8) -> None:
        self._screen.notify(text, severity=severity, markup=False, timeout=seconds)  # type: ignore[arg-type]
