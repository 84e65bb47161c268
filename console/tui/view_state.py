"""What the console remembers of its views from one run to the next: a small file that may be lost."""

from collections.abc import Collection
from pathlib import Path

import msgspec

from backends.errors import ConfigError, RolldeckError
from backends.local_files import write_private
from console.paths import state_folder

FILE = "console.json"
_MAX_BYTES = 64 * 1024


class ViewState:
    """Choices by name. A file that is missing, broken or not writable only means that nothing is remembered.

    Args:
        path: of the file; None to remember nothing after this run.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._choices = _read(path) if path is not None else {}

    def get(self, name: str, allowed: Collection[str], otherwise: str) -> str:
        """Return a choice; `otherwise` where there is none, or one that is not allowed."""
        choice = self._choices.get(name, otherwise)
        return choice if choice in allowed else otherwise

    def set(self, name: str, choice: str) -> None:
        """Remember a choice."""
        if self._choices.get(name) == choice:
            return
        self._choices[name] = choice
        if self._path is None:
            return
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_private(self._path, msgspec.json.encode(self._choices) + b"\n", replace=True)
        except (OSError, RolldeckError):
            self._path = None  # the choice holds for this run


def open_view_state() -> ViewState:
    """Return what the console remembers of the operator's earlier runs."""
    try:
        return ViewState(state_folder() / FILE)
    except ConfigError:  # without a home folder there is nothing to remember
        return ViewState()


def _read(path: Path) -> dict[str, str]:
    try:
        with path.open("rb") as file:
            return msgspec.json.decode(file.read(_MAX_BYTES), type=dict[str, str])
    except (OSError, ValueError, msgspec.MsgspecError):
        return {}
