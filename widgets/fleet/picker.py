"""The list of applications in which typing finds one."""

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input

from orchestrator.fleet.row import ApplicationRow
from widgets.dialogs.overlay import Overlay
from widgets.fleet.columns import build_picker_row
from widgets.fleet.model import FleetOptions, arrange_rows
from widgets.fleet.table import FleetTable
from widgets.key_names import name_keys
from widgets.line_table import Runs


class _PickerTable(FleetTable, can_focus=False):
    """The applications with what is done to them, and no figures."""

    # On the surface of a dialog, text could not be read on the usual row of the cursor.
    DEFAULT_CSS = "_PickerTable > .line-table--cursor { background: $foreground 8%; }"

    def build_line(self, content: tuple[ApplicationRow, int], width: int) -> Runs:
        return build_picker_row(content[0], self._names, width, self._now)

    def build_titles(self, width: int) -> str:
        return ""


class ApplicationPicker(ModalScreen[str | None], Overlay[str | None]):
    """The answer is the name of an application; None for escape. The best match is on top."""

    AUTO_FOCUS = "Input"
    DEFAULT_CSS = """
    ApplicationPicker { align: center middle; }
    ApplicationPicker > #box {
        width: 76; max-width: 100%; height: auto; max-height: 80%;
        padding: 0 1; background: $surface;
        border: round $primary; border-title-color: $foreground; border-title-style: bold;
        border-subtitle-color: $foreground;
    }
    ApplicationPicker Input { border: none; height: 1; padding: 0 1; background: $foreground 10%; }
    ApplicationPicker Input:focus { border: none; background: $foreground 20%; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "close", id="picker.close", tooltip="Close the list"),
        Binding("enter", "pick", "open", id="picker.open", tooltip="Open the application", priority=True),
        Binding("up,ctrl+p", "move(-1)", "up", id="picker.up", tooltip="To the row above", priority=True),
        Binding(
            "down,ctrl+n,tab", "move(1)", "down", id="picker.down", tooltip="To the row below", priority=True
        ),
        Binding("pageup", "page(-1)", "page up", id="picker.pageup", tooltip="A page up", priority=True),
        Binding(
            "pagedown", "page(1)", "page down", id="picker.pagedown", tooltip="A page down", priority=True
        ),
        Binding("f1", "app.help", "help", id="help", tooltip="All keys that work here"),
    ]

    def __init__(self, rows: Sequence[ApplicationRow], current: str, now: float) -> None:
        """Create the list.

        Args:
            rows: of all applications.
            current: the one that is open; empty for none.
            now: seconds since 1970.
        """
        super().__init__()
        self._rows = rows
        self._current = current
        self._now = now

    def compose(self) -> ComposeResult:
        box = Vertical(id="box")
        box.border_title = Content("Application")
        with box:
            yield Input(placeholder="type to find", compact=True)
            yield _PickerTable()

    def on_mount(self) -> None:
        keys = name_keys(self)
        moves = f"{keys['picker.open']} open · {keys['picker.up']} {keys['picker.down']} move"
        self.query_one("#box").border_subtitle = Content(f"{moves} · {keys['picker.close']} close")
        self._show("")
        self.query_one(_PickerTable).move_to(self._current)

    def on_resize(self) -> None:
        self._fit()

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        self._show(event.value)

    def _show(self, needle: str) -> None:
        rows = find_applications(self._rows, needle)
        table = self.query_one(_PickerTable)
        table.empty_text = f"no application matches; there are {len(self._rows)}"
        table.show(rows, frozenset(row.name for row in self._rows), FleetOptions(), self._now)
        if rows and needle:
            table.move_to(rows[0].name)
        self._fit()

    def _fit(self) -> None:
        table, box = self.query_one(_PickerTable), self.query_one("#box")
        room = max(4, self.size.height * 4 // 5 - box.gutter.height - 1)
        table.styles.height = max(4, min(room, len(self._rows) + 1))

    def action_move(self, rows: int) -> None:
        self.query_one(_PickerTable).action_move(rows)

    def action_page(self, pages: int) -> None:
        self.query_one(_PickerTable).action_page(pages)

    def action_pick(self) -> None:
        if (name := self.query_one(_PickerTable).cursor_key) is not None:
            self.dismiss(name)

    def action_cancel(self) -> None:
        self.dismiss(None)

    @on(FleetTable.Chosen)
    def _chosen(self, event: FleetTable.Chosen) -> None:
        event.stop()
        self.dismiss(event.key)


def find_applications(rows: Sequence[ApplicationRow], needle: str) -> list[ApplicationRow]:
    """Return the applications that match, the best first: those whose names begin with the text, then others.

    Without a text, those that need attention come first.
    """
    found = arrange_rows(rows, FleetOptions(filter=needle))
    wanted = needle.casefold().strip()
    if not wanted:
        return found

    def rank(row: ApplicationRow) -> int:
        name = row.name.casefold()
        return 0 if name == wanted else 1 if name.startswith(wanted) else 2 if wanted in name else 3

    return sorted(found, key=rank)
