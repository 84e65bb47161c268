"""The plan: everything that can be known before anything is touched, and the one way to start."""

from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.content import Content

from backends.text import counted
from orchestrator.engine.plan_differences import Difference
from orchestrator.planning.plan import Plan
from orchestrator.planning.text import failed_versions_text
from widgets.dialogs import plan_lines
from widgets.dialogs.button import InlineButton
from widgets.dialogs.hanging_text import QUIET_STYLE, Entries, Entry, entry, to_content
from widgets.dialogs.report import Report


class PlanScreen(Report[bool]):
    """Answers True only when somebody chose to start; errors, or nothing to do, leave no way to."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("c", "commands", "commands", id="plan.commands", tooltip="Show or hide every command")
    ]

    def __init__(self, plan: Plan, differences: Sequence[Difference] = ()) -> None:
        """Plan the screen for one plan.

        Args:
            plan: is shown.
            differences: from the plan that was agreed to before, where it is another one now.
        """
        super().__init__()
        self._plan = plan
        self._differences = differences
        self._with_commands = False

    def headline(self) -> Content:
        plan = self._plan
        work = sum(map(len, plan.batches))
        return to_content(
            f"{plan.application} → {plan.version} · {work} of {counted(len(plan.nodes), 'node')}"
            f" in {counted(len(plan.batches), 'batch')}"
        )

    def lines(self) -> Sequence[Entry]:
        plan = self._plan
        found = [*plan_lines.differences(self._differences), *plan_lines.findings(plan.findings)]
        lines = [*found, *plan_lines.capacity(plan), *plan_lines.nodes(plan)]
        if self._with_commands:
            return [*lines, *plan_lines.commands(plan)]
        commands = counted(len(self.commands()), "command")
        return [*lines, entry(""), entry(to_content(f"c shows all {commands}", QUIET_STYLE))]

    def reason(self) -> Content:
        errors = len(self._plan.errors)
        if errors:
            words = f"✗ cannot start: {counted(errors, 'error')}, see above"
            return to_content(words, "bold $text-error")
        if not self._plan.batches:
            return to_content("· nothing to do")
        if failed := failed_versions_text(self._plan):
            return to_content(f"! {failed}", "bold $text-warning")
        return to_content("nothing has been touched yet")

    def choices(self) -> Iterable[InlineButton]:
        yield InlineButton("no", "Back")
        start = InlineButton("yes", "Start", "warning")
        start.disabled = bool(self._plan.errors) or not self._plan.batches
        yield start

    def commands(self) -> Sequence[str]:
        planned = [
            command
            for batch in self._plan.batches
            for name in batch
            for command in self._plan.node(name).commands
        ]
        return [f"{command.target}: {command.command}" for command in (*self._plan.prefetch, *planned)]

    @on(InlineButton.Pressed)
    def _pressed(self, event: InlineButton.Pressed) -> None:
        self.dismiss(event.answer == "yes")

    def action_leave(self) -> None:
        self.dismiss(False)

    def action_commands(self) -> None:
        self._with_commands = not self._with_commands
        self.query_one("#lines", Entries).show(self.lines())
