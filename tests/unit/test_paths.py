"""Where the configuration, the journal and the log are, by the variables of the XDG specification."""

import pwd
from collections.abc import Callable
from pathlib import Path

import pytest

from backends.errors import ConfigError
from console.paths import find_config, journal_path, log_path, state_folder


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    for variable in ("XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(variable, raising=False)


def test_the_default_is_below_the_home_folder() -> None:
    assert journal_path("") == Path("/home/ann/.local/state/rolldeck/journal.db")
    assert log_path("") == Path("/home/ann/.local/state/rolldeck/rolldeck.log")


def test_a_configured_path_is_taken_as_it_is() -> None:
    for path_of in (journal_path, log_path):
        assert path_of("~/j") == Path("/home/ann/j")
        assert path_of("/var/lib/j") == Path("/var/lib/j")
        assert path_of("j") == Path("j")


@pytest.mark.parametrize(
    ("value", "folder"),
    [
        ("/var/state", "/var/state/rolldeck"),
        ("/var/state/", "/var/state/rolldeck"),
        ("", "/home/ann/.local/state/rolldeck"),
        # The specification has relative ones ignored; here they have always counted.
        ("state", "state/rolldeck"),
        ("./~/state", "~/state/rolldeck"),
        (" ", " /rolldeck"),
    ],
)
def test_the_state_folder_of_the_variable(monkeypatch: pytest.MonkeyPatch, value: str, folder: str) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", value)
    assert state_folder() == Path(folder)
    assert journal_path("") == Path(folder, "journal.db")
    assert log_path("") == Path(folder, "rolldeck.log")


@pytest.mark.parametrize("value", ["config", "{here}/config", ""])
def test_the_configuration_folder_of_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", value.format(here=tmp_path))
    folder = tmp_path / (".config" if not value else "config") / "rolldeck"
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text("")
    assert find_config().absolute() == folder / "config.toml"
    assert str(find_config()).startswith("config") == (value == "config")
    (tmp_path / "config.toml").write_text("")
    assert find_config() == Path("config.toml")


@pytest.mark.parametrize("of_home", [None, "", "relative"])
def test_without_a_home_in_the_environment_it_is_that_of_the_user(
    monkeypatch: pytest.MonkeyPatch, of_home: str | None
) -> None:
    if of_home is None:
        monkeypatch.delenv("HOME")
    else:
        monkeypatch.setenv("HOME", of_home)
    own = Path(pwd.getpwuid(Path("/proc/self").stat().st_uid).pw_dir)
    assert state_folder() == own / ".local/state/rolldeck"


def test_without_any_home_it_is_said_what_to_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As of a user of a container who has a number only."""

    def nobody(_: int) -> pwd.struct_passwd:
        raise KeyError

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    for path_of in (journal_path, log_path):
        with pytest.raises(ConfigError, match="the home folder is not known: set HOME or XDG_STATE_HOME"):
            path_of("")
    with pytest.raises(ConfigError, match="the home folder is not known: set HOME or XDG_CONFIG_HOME"):
        find_config()
    (tmp_path / "config.toml").write_text("")
    assert find_config() == Path("config.toml")
    assert journal_path("/var/j.db") == Path("/var/j.db")


@pytest.mark.parametrize(("key", "path_of"), [("journal.path", journal_path), ("log.path", log_path)])
def test_the_home_of_nobody_is_an_error_of_the_key(key: str, path_of: Callable[[str], Path]) -> None:
    with pytest.raises(ConfigError) as caught:
        path_of("~no-such-user/j")
    assert str(caught.value) == f"{key}: found '~no-such-user/j', whose home folder is not known"
