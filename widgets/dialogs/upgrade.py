"""The dialog for the options of an upgrade: version, batches, nodes and confirmations. It starts nothing."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, cast

from textual import on
from textual.containers import Horizontal, Vertical
from textual.widget import Widget
from textual.widgets import Input, Static

from backends.errors import ConfigError
from backends.templates import check_version
from backends.text import counted, shorten
from orchestrator.planning.application import Amount, Policy
from orchestrator.session.version_choices import VersionChoices
from widgets.dialogs.base import Dialog
from widgets.dialogs.elements import InlineButton, RadioList, to_content
from widgets.dialogs.reason import ReasonInput
from widgets.dialogs.version_list import VersionInput, VersionList

Confirmation = Literal["none", "node", "batch", "step"]

CONFIRMATIONS = (
    ("none", "automatic", "continues by itself, stops at a failure"),
    ("node", "each node", "asks before a node is taken out"),
    ("batch", "each batch", "asks before each batch"),
    ("step", "step by step", "asks before each step"),
)
SERIAL_HINT = "nodes at once: 2, 30% or 1,25%,100%"
LIMIT_HINT = "empty for all, or names and patterns: web1 web[34]"
MAX_PROBLEM_CHARS = 70  # so that all fields stay in sight on 24 lines
EXAMPLES = {"version": "such as 1.5.0", "serial": "1", "limit": "all"}


@dataclass(frozen=True, slots=True)
class UpgradeAnswer:
    """The options to plan with.

    Attributes:
        version: fit for commands.
        serial: batch sizes, as in the policy.
        confirm: what waits for a human.
        limit: names and patterns of nodes; empty for all.
        reason: that the operator has given; empty for none.
    """

    version: str
    serial: Amount | list[Amount]
    confirm: Confirmation
    limit: tuple[str, ...] = ()
    reason: str = ""

    @property
    def changes(self) -> dict[str, object]:
        """The changed fields of the rollout policy."""
        return {"serial": self.serial, "confirm": self.confirm}


def parse_serial(typed: str) -> Amount | list[Amount]:
    """Parse batch sizes as in `--serial`; the ValueError is written for operators."""
    parts: list[Amount] = [part.strip() for part in typed.split(",")]
    try:
        Policy(serial=parts)
    except ValueError as error:
        raise ValueError(str(error).removeprefix("serial: ")) from None
    return parts[0] if len(parts) == 1 else parts


def parse_version(typed: str) -> str:
    """Parse a version that is safe in commands; the ValueError is written for operators."""
    if not typed.strip():
        raise ValueError("type the version to upgrade to")
    try:
        return check_version(typed.strip())
    except ConfigError:
        raise ValueError("not a version: letters, digits, . _ + : ~ -; at most 128") from None


class UpgradeDialog(Dialog[UpgradeAnswer | None]):
    """The answer is None unless every field is valid."""

    DEFAULT_CSS = """
    UpgradeDialog .field { height: auto; margin-top: 1; }
    UpgradeDialog .name { width: 10; color: $text-muted; }
    UpgradeDialog .right { width: 1fr; height: auto; }
    UpgradeDialog .hint { height: auto; min-height: 1; color: $text-muted; }
    UpgradeDialog .hint.-wrong { color: $text-error; text-style: bold; }
    UpgradeDialog:nocolor .hint.-wrong { color: $foreground; }
    UpgradeDialog #text { display: none; }
    """

    def __init__(self, application: str, running_now: str, policy: Policy) -> None:
        """Create the dialog for one application.

        Args:
            application: its name.
            running_now: versions that run now, such as "1.4.2 on 4 nodes"; empty when not known.
            policy: of the configuration; it fills the fields.
        """
        super().__init__()
        self.title = f"Upgrade {application}"
        self._running_now = f"now: {running_now}" if running_now else "now: unknown until the plan is made"
        self._now = self._running_now
        self._found: tuple[VersionChoices, bool] | None = None
        self._is_open = False
        self._policy = policy

    def fields(self) -> Iterable[Widget]:
        sizes = self._policy.serial
        serial = ",".join(map(str, sizes)) if isinstance(sizes, list) else str(sizes)
        yield _field("Version", "version", "", self._now, VersionList(id="versions"))
        yield _field("Batches", "serial", serial, SERIAL_HINT)
        yield _field("Nodes", "limit", "", LIMIT_HINT)
        options = RadioList(CONFIRMATIONS, self._policy.confirm, id="confirm")
        yield Horizontal(Static("Confirm", classes="name"), options, classes="field")

    def buttons(self) -> Iterable[Widget]:
        # Whoever goes from the fields to the answers and gives no reason does not pass by it.
        yield ReasonInput(is_required=self._policy.require_reason, is_last=True)
        yield InlineButton("no", "Cancel")
        yield InlineButton("yes", "Review plan", "primary")

    def initial_focus(self) -> Widget:
        """Focus the first field: nothing changes before the plan is reviewed."""
        return self.query_one("#version")

    def show_versions(self, found: VersionChoices, *, is_complete: bool = True) -> None:
        """Show the versions to choose from; a version that is not among them can be typed all the same.

        Args:
            found: the versions, and why there may be more.
            is_complete: whether the nodes were asked; otherwise more may come.
        """
        self._found = found, is_complete
        if not (self._is_open and self.is_attached and self.query(VersionList)):
            return  # it is not open yet, or is being closed
        parts = [self._running_now]
        if found.choices:
            parts.append(f"↑↓ {counted(len(found.choices), 'version')}")
        if not is_complete:
            parts.append("asking the nodes…")
        elif found.problem:
            parts.append(f"what can be installed is unknown: {shorten(found.problem, MAX_PROBLEM_CHARS)}")
        self._now = " · ".join(parts)
        self.query_one(VersionList).show(found.choices, self._value("version"))
        self._hint("version")
        self.call_after_refresh(self._fit)

    def on_mount(self) -> None:
        # Textual calls `Dialog.on_mount` too.
        self._is_open = True
        if self._found is not None:
            self.show_versions(self._found[0], is_complete=self._found[1])

    @on(VersionList.Picked)
    def _picked(self, event: VersionList.Picked) -> None:
        self._set_version(event.version)

    @on(VersionInput.Moved)
    def _moved(self, event: VersionInput.Moved) -> None:
        if version := self.query_one(VersionList).neighbor(event.by):
            self._set_version(version)

    def _set_version(self, version: str) -> None:
        box = self.query_one("#version", Input)
        box.value, box.cursor_position = version, len(version)
        self.query_one(VersionList).mark(version)  # at once: the next key may be here already
        box.focus()

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        """Clear the error of a field while it is edited; Enter validates again."""
        self._hint(str(event.input.id))
        if event.input.id == "version":
            # The value of the event may be an older one, if two keys came together.
            self.query_one(VersionList).mark(self._value("version").strip())

    @on(Input.Submitted)
    def _submitted(self) -> None:
        self._go_on()

    @on(InlineButton.Pressed)
    def _pressed(self, event: InlineButton.Pressed) -> None:
        if event.answer == "yes":
            self._go_on()
        else:
            self.dismiss(None)

    def _go_on(self) -> None:
        """Dismiss with the answer, or show all errors and go to the first of them."""
        wrong: list[str] = []
        for name, parse in (("version", parse_version), ("serial", parse_serial)):
            try:
                parse(self._value(name))
            except ValueError as error:
                self._hint(name, str(error))
                wrong.append(name)
        if wrong:
            self.query_one(f"#{wrong[0]}").focus()
            return
        if (reason := self.query_one(ReasonInput).read()) is None:
            return
        self.dismiss(
            UpgradeAnswer(
                parse_version(self._value("version")),
                parse_serial(self._value("serial")),
                cast("Confirmation", self.query_one(RadioList).value),
                tuple(self._value("limit").split()),
                reason,
            )
        )

    def _value(self, name: str) -> str:
        return self.query_one(f"#{name}", Input).value

    def _hint(self, name: str, error: str = "") -> None:
        usual = {"version": self._now, "serial": SERIAL_HINT, "limit": LIMIT_HINT}[name]
        hint = self.query_one(f"#{name}-hint", Static)
        hint.update(to_content(f"✗ {error}" if error else usual))
        hint.set_class(bool(error), "-wrong")


def _field(label: str, name: str, value: str, hint: str, *more: Widget) -> Widget:
    kind = VersionInput if name == "version" else Input
    entry = kind(value, id=name, placeholder=EXAMPLES[name], select_on_focus=False)
    below = Static(to_content(hint), id=f"{name}-hint", classes="hint")
    right = Vertical(entry, *more, below, classes="right")
    return Horizontal(Static(label, classes="name"), right, classes="field")
