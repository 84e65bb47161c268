"""Secrets: read from one place, never shown."""

import pickle
import traceback
from pathlib import Path

import pytest

from backends.errors import ConfigError
from backends.secrets import Secret, load_secret, redact
from tests.support.users import MALLORY, give, needs_root

VALUE = "correct horse"


def private_file(tmp_path: Path, text: str | bytes = VALUE + "\n", mode: int = 0o600) -> Path:
    path = tmp_path / "password"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    path.chmod(mode)
    return path


def test_a_secret_shows_nothing() -> None:
    secret = Secret(VALUE)
    for shown in (repr(secret), str(secret), f"{secret}", f"{[secret]}", "%s" % secret):  # noqa: UP031 - one of the ways to show it
        assert VALUE not in shown
    assert repr(secret) == "Secret(***)"
    with pytest.raises(TypeError, match="cannot be serialized"):
        pickle.dumps(secret)
    assert secret.reveal() == VALUE
    assert secret == Secret(VALUE)
    assert secret != VALUE


async def test_no_place_is_no_secret() -> None:
    assert await load_secret("", "", "", "lb.password") is None


async def test_it_comes_from_any_one_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROLLDECK_TEST_SECRET", VALUE)
    path = private_file(tmp_path)
    assert await load_secret("ROLLDECK_TEST_SECRET", "", "", "p") == Secret(VALUE)
    assert await load_secret("", str(path), "", "p") == Secret(VALUE)
    assert await load_secret("", "", f"cat {path}", "p") == Secret(VALUE)


async def test_only_the_last_newline_is_dropped(tmp_path: Path) -> None:
    path = private_file(tmp_path, " spaced \n\n")
    assert await load_secret("", str(path), "", "p") == Secret(" spaced \n")


async def test_two_places_are_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"lb\.password_env, lb\.password_command"):
        await load_secret("A", "", "true", "lb.password")


async def test_a_file_in_the_home_of_nobody_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        await load_secret("", "~no-such-user/password", "", "lb.password_file")
    assert str(caught.value).endswith("found '~no-such-user/password', whose home folder is not known")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
async def test_a_file_that_others_can_read_is_refused_with_the_fix(tmp_path: Path, mode: int) -> None:
    path = private_file(tmp_path, mode=mode)
    with pytest.raises(ConfigError, match="chmod 600") as caught:
        await load_secret("", str(path), "", "p")
    assert caught.value.key == "p_file"


@needs_root
async def test_a_file_of_somebody_else_is_refused(tmp_path: Path) -> None:
    """Who may write it knows the secret, and chooses it: a key to sign with is none then."""
    path = tmp_path / "secret"
    path.write_text("whisper")
    path.chmod(0o600)
    give(path, MALLORY)
    with pytest.raises(ConfigError, match=r"secret belongs to uid 54321 \(mode 0600\), expected root"):
        await load_secret("", str(path), "", "consul.token")


@pytest.mark.parametrize(
    ("env", "command", "problem"),
    [
        ("ROLLDECK_NO_SUCH_VARIABLE", "", "is not set"),
        ("", "exit 3", "exit status 3"),
        ("", "true", "empty"),
    ],
)
async def test_nothing_there_is_an_error(env: str, command: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        await load_secret(env, "", command, "p")


async def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        await load_secret("", str(tmp_path / "none"), "", "p")


async def test_a_broken_file_does_not_leak_into_the_traceback(tmp_path: Path) -> None:
    path = private_file(tmp_path, b"hunter2\xff")
    with pytest.raises(ConfigError) as caught:
        await load_secret("", str(path), "", "p")
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.timeout(20)
async def test_a_command_that_hangs_is_ended_with_its_children(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("backends.secrets.COMMAND_TIMEOUT_S", 0.1)
    with pytest.raises(ConfigError, match="did not end"):
        await load_secret("", "", "sleep 60; true", "p")


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("GET http://h/\nAuthorization: Bearer abc.def\nX: y", "GET http://h/\nAuthorization: ***\nX: y"),
        ("authorization: Basic am9lOnMz", "authorization: ***"),
        ("curl -H 'Proxy-Authorization: Basic am9l' http://h", "curl -H 'Proxy-Authorization: ***' http://h"),
        ('{"Authorization": "Bearer x"}', '{"Authorization": "***"}'),
        ("GET http://joe:hunter2@h:80/x", "GET http://***@h:80/x"),
        ("ssh://deploy@lb1/run/x.sock at 10:20", "ssh://deploy@lb1/run/x.sock at 10:20"),
        ("http://h:80/mail?to=a@b", "http://h:80/mail?to=a@b"),
    ],
)
def test_what_looks_like_a_secret_is_taken_out(text: str, redacted: str) -> None:
    assert redact(text) == redacted


async def test_a_secret_that_was_read_is_taken_out_wherever_it_stands(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in (("A", "hunter2-part"), ("B", "hunter2-part-and-more")):
        monkeypatch.setenv(f"ROLLDECK_TEST_{name}", value)
        await load_secret(f"ROLLDECK_TEST_{name}", "", "", "p")
    assert redact("x hunter2-part-and-more y hunter2-part z") == "x *** y *** z"
