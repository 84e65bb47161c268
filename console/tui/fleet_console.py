"""The console of several applications: the fleet is its first screen, and applications are opened over it."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from textual import on, work
from textual.app import ScreenStackError
from textual.binding import BindingType
from textual.css.query import NoMatches
from textual.screen import ModalScreen, Screen

from backends.errors import RolldeckError
from console.config.config_file import ConsoleSettings
from console.tui.app import Console
from console.tui.rollout_keys import RolloutKeys
from console.tui.screens.actions import KEEP
from console.tui.screens.fleet import FleetScreen
from console.tui.screens.main import MainScreen
from console.tui.view_state import ViewState
from console.tui.workspaces import Workspaces
from orchestrator.events.state import RolloutState
from orchestrator.fleet.row import ApplicationRow
from widgets.dialogs.modal import Confirm
from widgets.fleet.picker import ApplicationPicker
from widgets.fleet.strip import RolloutStrip
from widgets.fleet.table import FleetTable
from widgets.key_names import name_keys

STRIP_INTERVAL_S = 0.25  # how often rollouts are looked at for the strip


class FleetConsole(Console):
    """The console with a fleet. Screens of applications stay as they were left, with what they still do."""

    BINDINGS: ClassVar[list[BindingType]] = RolloutKeys.BINDINGS

    def __init__(
        self,
        workspaces: Workspaces,
        settings: ConsoleSettings | None = None,
        file: str = "",
        view_state: ViewState | None = None,
        first: str = "",
    ) -> None:
        """Create the console; `run_async` shows it.

        Args:
            workspaces: of the applications; the caller closes them.
            settings: theme and keys.
            file: of the configuration, for errors.
            view_state: choices of earlier runs; None to remember nothing.
            first: the application that is opened at once; empty for the fleet.

        Raises:
            ConfigError: a key in the settings that does not work.
        """
        super().__init__(None, settings, file, tuple(workspaces.fleet.config.apps), view_state)
        self._workspaces = workspaces
        self._overview = workspaces.fleet.overview
        self._first = first
        self._opened: dict[str, MainScreen] = {}
        self._rollouts: dict[str, str] = {}  # the rollouts that ran when they were looked at last, in words

    def on_mount(self) -> None:
        self.push_screen(FleetScreen(self._overview, self._workspaces.read_only))
        self.set_interval(STRIP_INTERVAL_S, self._watch_rollouts)
        if self._first:
            self.open_application(self._first)

    # -- applications -------------------------------------------------------------------------

    @property
    def shown_application(self) -> str:
        """The application whose screen is in front, or below a dialog; empty for the fleet."""
        main = self._main
        return main.application_name if main is not None else ""

    @property
    def _main(self) -> MainScreen | None:
        return next((screen for screen in self.screen_stack if isinstance(screen, MainScreen)), None)

    @on(FleetScreen.Picked)
    def _picked(self, event: FleetScreen.Picked) -> None:
        self.open_application(event.application, event.action)

    @on(MainScreen.Left)
    def _left(self) -> None:
        self._show_fleet()

    @on(MainScreen.ApplicationAsked)
    def _application_asked(self) -> None:
        here = self.shown_application

        def picked(name: str | None) -> None:
            if name is not None and name != here:
                self.open_application(name)

        # No worker in between: what is typed at once belongs to the list.
        self.push_screen(ApplicationPicker(self._overview.rows(), here, self._overview.time()), picked)

    @work(group="open", exclusive=True)
    async def open_application(self, name: str, action: str = "") -> None:
        """Show an application in place of the one that is shown.

        Args:
            name: of the application.
            action: of its screen, to start there; empty for none.
        """
        try:
            workspace = await self._workspaces.open(name)
        except RolldeckError as error:
            self.notify(f"{name} cannot be opened: {error}", severity="error", markup=False, timeout=10)
            return
        if not await self._return_to_fleet(name):
            return
        if name not in self._opened:
            self._opened[name] = MainScreen(workspace, self._applications)
            self.install_screen(self._opened[name], f"application-{len(self._opened)}")
        await self.push_screen(self._opened[name])
        await self._workspaces.show(name)
        if action:
            await self._opened[name].start_action(action)

    @work(group="open", exclusive=True)
    async def _show_fleet(self) -> None:
        if await self._return_to_fleet():
            await self._workspaces.show("")

    async def _return_to_fleet(self, name: str = "") -> bool:
        """Close the screens over the fleet; returns False where a dialog has to be answered first.

        Args:
            name: the application that is opened next: what is typed meanwhile is about that.
        """
        if any(isinstance(screen, ModalScreen) for screen in self.screen_stack):
            return False
        for fleet in [screen for screen in self.screen_stack if name and isinstance(screen, FleetScreen)]:
            fleet.query_one(FleetTable).move_to(name)
        while len(self.screen_stack) > 1 and not isinstance(self.screen, FleetScreen):
            await self.pop_screen()
        return True

    def rollout_states(self) -> Mapping[str, RolloutState]:
        return self._overview.states()

    # -- rollouts -----------------------------------------------------------------------------

    def push_screen(self, screen: Screen[Any] | str, *args: Any, **kwargs: Any) -> Any:
        """Push a screen, with the strip of rollouts at its bottom; the fleet has them in its table."""
        pushed = super().push_screen(screen, *args, **kwargs)
        if isinstance(screen, Screen) and not isinstance(screen, ModalScreen | FleetScreen):
            screen.call_later(self._add_strip, screen)
        return pushed

    async def _add_strip(self, screen: Screen[Any]) -> None:
        if screen.is_attached and not screen.query(RolloutStrip):
            await screen.mount(RolloutStrip())
            self._show_strip(self._overview.running_rows())

    def _watch_rollouts(self) -> None:
        rows = self._overview.running_rows()
        if rows or self._rollouts:
            self._show_strip(rows)
        running = {row.name: row.rollout.target for row in rows if row.rollout is not None}
        for name in self._rollouts.keys() - running.keys():
            if name != self.shown_application:  # its own screen shows the result
                self._say_ended(name, self._rollouts[name])
        self._rollouts = running

    def _say_ended(self, name: str, target: str) -> None:
        ended = self._overview.last_result(name)
        severity: Any = "information" if ended == "healthy" else "warning"
        self.notify(f"{name} {target}: {ended or 'interrupted'}", severity=severity, markup=False, timeout=10)

    def _show_strip(self, rows: Sequence[ApplicationRow]) -> None:
        try:
            strip = self.screen.query_one(RolloutStrip)
        except (NoMatches, ScreenStackError):  # the last screen is closed at the end
            return
        own = self.shown_application if isinstance(self.screen, MainScreen) else ""
        strip.show([row for row in rows if row.name != own], name_keys(self)["next-rollout"])

    @on(RolloutStrip.Picked)
    def _strip_clicked(self, event: RolloutStrip.Picked) -> None:
        self.open_application(event.application)

    def action_next_rollout(self) -> None:
        """Open the application of the next rollout, first those that wait for an answer."""
        names = [row.name for row in self._overview.running_rows()]
        here = self.shown_application
        following = names[names.index(here) + 1 :] + names if here in names else names
        if following and following[0] != here:
            self.open_application(following[0])
        else:
            self.notify("no other rollout is running", timeout=3)

    # -- the end ------------------------------------------------------------------------------

    async def action_quit(self) -> None:
        """Quit; on the screen of an application, it asks what to do with its rollout."""
        main = self._main
        if main is not None:
            main.action_quit_console()
        else:
            self._quit_fleet()

    @work(group="quit", exclusive=True)
    async def _quit_fleet(self) -> None:
        rows = self._overview.running_rows()
        if rows:
            names = ", ".join(row.name for row in rows)

            def is_over() -> str:
                return "" if self._overview.running_rows() else "all rollouts have ended meanwhile"

            dialog = Confirm(
                f"{'A rollout is' if len(rows) == 1 else f'{len(rows)} rollouts are'} running: quit?",
                [f"What goes on without this console: {names}."],
                [("stay", "Stay", "default"), ("keep", "Quit", "primary")],
            )
            answer = await self.push_screen_wait(dialog.withdraw_when(is_over))
            if answer != "keep":
                return
        self.exit(KEEP)
