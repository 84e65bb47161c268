"""The Textual application: it shows the screens of an application, and rollouts outlive it."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from rich.console import RenderableType
from textual import events, on, work
from textual.app import App
from textual.binding import Binding, BindingType
from textual.command import Provider
from textual.css.query import NoMatches
from textual.dom import DOMNode
from textual.driver import Driver
from textual.drivers.linux_driver import LinuxDriver
from textual.notifications import Notify, SeverityLevel
from textual.screen import Screen
from textual.theme import Theme
from textual.widgets._toast import ToastRack

from backends.local_files import write_beside
from backends.text import visible
from console.config.config_file import ConsoleSettings
from console.config.own_commands import OwnCommandSettings
from console.interrupts import TERMINAL_GONE
from console.tui.attention import Attention
from console.tui.command_targets import targets_of
from console.tui.key_queue import KeyQueue
from console.tui.late_errors import is_late, is_on_removed, is_open
from console.tui.notification import LateNotification
from console.tui.own_commands import OwnCommands
from console.tui.screens.actions import KEEP
from console.tui.screens.main import MainScreen
from console.tui.terminal_driver import TerminalDriver
from console.tui.themes import THEMES, readable_theme, remember_theme, remembered_theme
from console.tui.view_state import ViewState
from console.tui.workspace import Workspace
from orchestrator.events.state import RolloutState
from widgets.dialogs.modal import TooSmall, fits

ATTENTION_INTERVAL_S = 0.5  # how often it is seen whether an operator has to be called


def _load_commands() -> type[Provider]:
    """Return the provider; it is imported with the palette, to show the first screen sooner."""
    from console.tui.command_palette import ConsoleCommands

    return ConsoleCommands


def _load_own_commands() -> type[Provider]:
    from console.tui.own_command_palette import OwnCommandProvider

    return OwnCommandProvider


def _check_keys(settings: ConsoleSettings, file: str, everywhere: Sequence[Binding]) -> dict[str, str]:
    """Return the keymap; ConfigError for a key that does not work."""
    from console.tui.keymap import GROUPS, check_keymap

    return check_keymap(settings.keys, GROUPS, file, everywhere)


def _raise_toasts(screen: Screen[Any]) -> None:
    """Move the notifications to the end of a screen: of two widgets at its bottom, the last one is seen."""
    for rack in screen.query_children(ToastRack):
        if (last := screen.children[-1]) is not rack:
            screen.move_child(rack, after=last)


class Console(App[str]):
    """The console. Its result says what was done about a running rollout: see `QuitDialog`."""

    TITLE = "Rolldeck"
    ENABLE_COMMAND_PALETTE = True
    # Over the key bar, where nothing is that has to be read; what needs more lines makes the rest lower.
    CSS = """
    ToastRack { layer: default; margin: 0; max-height: 3; overflow-y: auto; }
    Toast { width: 100%; max-width: 100%; margin: 0; padding: 0 1; }
    """
    COMMANDS: ClassVar[set[type[Provider] | Callable[[], type[Provider]]]] = {
        _load_commands,
        _load_own_commands,
    }
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("question_mark,f1", "help", "help", id="help", tooltip="All keys that work here")
    ]

    def __init__(
        self,
        workspace: Workspace | None,
        settings: ConsoleSettings | None = None,
        file: str = "",
        applications: Sequence[str] = (),
        view_state: ViewState | None = None,
    ) -> None:
        """Create the console; `run_async` shows it.

        Args:
            workspace: of the only application, which the caller closes; None where there are several.
            settings: theme and keys.
            file: of the configuration, for errors.
            applications: the names of all applications of the configuration.
            view_state: choices of earlier runs; None to remember nothing.

        Raises:
            ConfigError: a key in the settings that does not work.
        """
        super().__init__()
        settings = settings or ConsoleSettings()
        self._applications = applications
        if settings.keys:
            self.set_keymap(_check_keys(settings, file, [own for _, own in self._bindings]))
        self.view_state = view_state or ViewState()
        for theme in THEMES.values():
            self.register_theme(theme)
        self._configured_theme = settings.theme
        self.theme = remembered_theme(self.view_state, settings.theme)
        self.workspace = workspace
        self.own_commands = OwnCommands(self)
        self._keys = KeyQueue(self, super().on_event)
        self._attention = Attention(settings.notify, self._write_to_terminal)

    def add_commands(self, commands: Sequence[OwnCommandSettings], file: str = "") -> None:
        """Give the console commands of the operator's own. Raises ConfigError for a key that is taken."""
        self.own_commands = OwnCommands(self, commands)
        self.own_commands.bind(file)

    @work(group="own-command")
    async def action_own_command(self, index: int) -> None:
        await self.own_commands.run(index, targets_of(self.screen))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Return None to gray a key out that is not possible now."""
        if action == "own_command":
            return self.own_commands.may_run(int(str(parameters[0]))) or None
        return super().check_action(action, parameters)

    def on_load(self) -> None:
        # From Python 3.12 on, Textual makes all tasks of the loop start eagerly. The session shares the loop,
        # and asyncssh's server, which the demo's nodes have, then never answers a log-in.
        asyncio.get_running_loop().set_task_factory(None)

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.Key) and not event.is_forwarded:
            await self._keys.take(event)
        elif not (isinstance(event, events.MouseDown) and is_on_removed(self.screen, event)):
            await super().on_event(event)

    def on_mount(self) -> None:
        self.set_interval(ATTENTION_INTERVAL_S, lambda: self._attention.update(self.rollout_states()))
        if self.workspace is not None:
            self.push_screen(MainScreen(self.workspace, self._applications))

    def on_unmount(self) -> None:
        self._attention.close()

    def push_screen(self, screen: Screen[Any] | str, *args: Any, **kwargs: Any) -> Any:
        """Push a screen, whose notifications are painted after its key bar."""
        pushed = super().push_screen(screen, *args, **kwargs)
        if isinstance(screen, Screen):
            screen.call_later(_raise_toasts, screen)
        return pushed

    def rollout_states(self) -> Mapping[str, RolloutState]:
        """Return the rollout of each application that runs or ran last, as far as this console knows."""
        workspace = self.workspace
        active = workspace.active if workspace is not None else None
        return {} if workspace is None or active is None else {workspace.name: active.state}

    def _write_to_terminal(self, data: str) -> None:
        if isinstance(self._driver, TerminalDriver):
            self._driver.write(data)

    def on_resize(self, event: events.Resize) -> None:
        if not fits(event.size) and not any(isinstance(screen, TooSmall) for screen in self.screen_stack):
            self.push_screen(TooSmall())

    def get_driver_class(self) -> type[Driver]:
        found = super().get_driver_class()  # the environment may name another
        return TerminalDriver if found is LinuxDriver else found

    def _display(self, screen: Screen[Any], renderable: RenderableType | None) -> None:
        """Paint a frame: all output of Textual passes here."""
        driver = self._driver
        if not isinstance(driver, TerminalDriver):
            super()._display(screen, renderable)
        elif driver.takes_frame():
            with driver.frame():
                super()._display(screen, renderable)

    @property
    def defect(self) -> Exception | None:
        """The bug that ended the console; None without one."""
        return self._exception

    def _handle_exception(self, error: Exception) -> None:
        if not is_late(self, error, self._exit):
            super()._handle_exception(error)

    async def _dispatch_action(self, namespace: DOMNode, action_name: str, params: Any) -> bool:
        # Keys that were typed ahead come to a screen whose widgets are not there yet.
        try:
            return await super()._dispatch_action(namespace, action_name, params)
        except NoMatches:
            if is_open(namespace):
                raise
            return True

    def _fatal_error(self) -> None:
        # Textual would write a traceback with all locals, and wait until the terminal has accepted it.
        self._close_messages_no_wait()

    def _print_error_renderables(self) -> None:
        self._exit_renderables.clear()

    @on(TerminalDriver.CaughtUp)
    def _paint_all(self) -> None:
        if isinstance(self._driver, TerminalDriver):
            self._driver.resume_frames()
        self.refresh()

    @on(TerminalDriver.Gone)
    def _terminal_gone(self) -> None:
        self.close(TERMINAL_GONE)

    @on(TerminalDriver.Failed)
    def _input_failed(self, event: TerminalDriver.Failed) -> None:
        self._handle_exception(event.error)

    def close(self, why: str) -> None:
        """End at once; a rollout goes on in its own process."""
        self.exit(KEEP)

    def notify(
        self,
        message: str,
        *,
        title: str = "",
        severity: SeverityLevel = "information",
        timeout: float | None = None,
        markup: bool = True,
    ) -> None:
        """Show a notification; it may be called from any thread."""
        shown_s = self.NOTIFICATION_TIMEOUT if timeout is None else timeout
        self.post_message(Notify(LateNotification(message, title, severity, shown_s, markup=markup)))

    def action_help(self) -> None:
        """Show all keys of the screen in front; of the help itself there is nothing to show."""
        from console.tui.key_sections import collect_sections
        from console.tui.screens.help import HelpScreen

        if not isinstance(self.screen, (HelpScreen, TooSmall)):
            self.push_screen(HelpScreen(collect_sections(self.screen)))

    def action_command_palette(self) -> None:
        from console.tui.command_palette import Palette

        if not isinstance(self.screen, Palette):
            self.push_screen(Palette())

    def search_themes(self) -> None:
        """Open the palette with the themes."""
        from console.tui.command_palette import Palette, ThemeCommands

        self.push_screen(Palette(providers=[ThemeCommands], placeholder="Search for themes…"))

    def get_theme(self, theme_name: str) -> Theme | None:
        """Return a theme with colors that can be read; they are computed when it is used."""
        return readable_theme(theme_name) if theme_name in THEMES else super().get_theme(theme_name)

    def choose_theme(self, name: str) -> None:
        """Use a theme, and remember it for the next console."""
        self.theme = name
        remember_theme(self.view_state, name, self._configured_theme)

    async def action_quit(self) -> None:
        """Quit by ctrl+q or the palette, which asks what to do with a running rollout."""
        main = next((screen for screen in self.screen_stack if isinstance(screen, MainScreen)), None)
        if main is None:
            self.exit("leave")
        else:
            main.action_quit_console()

    def deliver_screenshot(
        self, filename: str | None = None, path: str | None = None, time_format: str | None = None
    ) -> str | None:
        """Save a screenshot readable by its owner only, like the transcript; Textual's is public."""
        place = Path(path or ".") / (filename or "rolldeck-screen.svg")
        try:
            written = write_beside(place, self.export_screenshot().encode())
        except OSError as error:
            self.notify(f"the screenshot cannot be saved: {error.strerror}", severity="error", markup=False)
        else:
            self.notify(f"saved to {visible(str(written.absolute()))}", markup=False)
        return None
