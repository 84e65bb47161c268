"""What the console remembers: private, and never a reason not to start."""

from pathlib import Path

import pytest

from console.tui.view_state import FILE, ViewState, open_view_state

CHOICES = ("auto", "on", "off")


def test_a_choice_is_there_in_the_next_run(tmp_path: Path) -> None:
    path = tmp_path / "state" / FILE
    ViewState(path).set("pane.traffic", "off")
    assert ViewState(path).get("pane.traffic", CHOICES, "auto") == "off"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"pane.traffic": 7}', b'{"pane.traffic": "big"}', b"\xff"]
)
def test_a_broken_file_means_the_defaults(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / FILE
    path.write_bytes(content)
    state = ViewState(path)
    assert state.get("pane.traffic", CHOICES, "auto") == "auto"
    state.set("pane.traffic", "on")
    assert ViewState(path).get("pane.traffic", CHOICES, "auto") == "on"


def test_what_cannot_be_written_holds_for_this_run(tmp_path: Path) -> None:
    (tmp_path / FILE).mkdir()
    state = ViewState(tmp_path / FILE)
    state.set("pane.traffic", "off")
    assert state.get("pane.traffic", CHOICES, "auto") == "off"


def test_it_is_in_the_state_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    open_view_state().set("pane.events", "off")
    assert (tmp_path / "rolldeck" / FILE).is_file()
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.delenv("HOME", raising=False)
    open_view_state().get("pane.events", CHOICES, "auto")
