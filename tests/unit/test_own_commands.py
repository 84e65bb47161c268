"""Commands of the operator's own: their tables, the values in them, and how one is run and recorded."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
from textual.binding import Binding

from backends.errors import ConfigError
from backends.hosts.local import LocalHost
from console.config.own_commands import FIELDS, OwnCommandSettings
from console.tui.keymap import check_command_keys
from orchestrator.events.operator_commands import OperatorCommandFinished, OperatorCommandStarted
from orchestrator.journal.entry_summary import EntrySummary
from orchestrator.journal.node_entries import read_node_entries
from orchestrator.journal.store import Journal
from orchestrator.session.operator_command import MAX_RECORDED_LINES, OperatorCommand, Outcome, run_command
from tests.console.frozen_console import CALM, session_of

VALUES = dict.fromkeys(FIELDS, "x") | {"node": "web1", "version": "1.5.0+git~2"}


def settings(**fields: object) -> OwnCommandSettings:
    return msgspec.convert({"key": "f5", "title": "look", "run": "id {node}", **fields}, OwnCommandSettings)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"run": "id {nod}"}, r"run: found \{nod\}, which is not defined; did you mean 'node'\? expected"),
        ({"run": "id {unheard_of}"}, r"run: found \{unheard_of\}, which is not defined; expected one of"),
        ({"run": " "}, "run: found an empty text"),
        ({"title": ""}, "title: found ''"),
        ({"title": "a\x1bb"}, "title: found"),
        ({"title": "a" * 41}, "title: found"),
        ({"timeout": 0}, "timeout: found 0"),
        ({"where": "there"}, "where"),
        ({"show": "terminal"}, "show"),
    ],
)
def test_errors(fields: dict[str, object], problem: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=problem):
        settings(**fields)


def test_what_the_shell_has_itself_is_left_alone() -> None:
    command = settings(run="awk '{print $1}' ${HOME}/{a,b} {{.State}} ${node} {node}")
    assert command.line(VALUES) == "awk '{print $1}' ${HOME}/{a,b} {{.State}} ${node} web1"


def test_it_asks_unless_it_changes_nothing() -> None:
    assert settings().asks
    assert not settings(read_only=True).asks
    assert settings(read_only=True, confirm=True).asks
    assert not settings(confirm=False).asks


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("value", ["a b", "$(id)", "'; id #", "-rf", "a\nb", "`id`", "../../x", "~root"])
def test_a_value_that_a_shell_might_read_is_refused(field: str, value: str) -> None:
    for run in (f"id {{{field}}}", f"id '{{{field}}}'", f'id "{{{field}}}"'):
        with pytest.raises(ConfigError, match=rf"\{{{field}\}}: .*cannot be used") as refused:
            settings(run=run).line(VALUES | {field: value})
        assert refused.value.key == f"{{{field}}}"
    assert settings(run="id").line({field: value}) == "id", "what is not needed does not matter"


def test_a_value_that_is_not_known_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"\{version\}: is not known here"):
        settings(run="rm -r /opt/{version}").line(VALUES | {"version": ""})


@pytest.mark.parametrize(
    ("keys", "keymap", "key", "problem"),
    [
        (["u"], {}, "commands.0.key", "u is the key of 'upgrade' already"),
        (["f5", "l"], {}, "commands.1.key", "l is the key of 'node-log' already"),
        (["f5", "f5"], {}, "commands.1.key", "f5 is the key of commands.0 already"),
        (["question_mark"], {}, "commands.0.key", "is the key of 'help' already"),
        (["?"], {}, "commands.0.key", "is the key of 'help' already"),
        (["f1"], {}, "commands.0.key", "is the key of 'help' already"),
        (["tab"], {}, "commands.0.key", "tab is the key of 'app.focus_next' already"),
        (["f5"], {"upgrade": "f5"}, "commands.0.key", "f5 is the key of 'upgrade' already"),
        (["two words"], {}, "commands.0.key", "expected a key"),
        ([""], {}, "commands.0.key", "expected a key"),
    ],
)
def test_keys_that_are_taken(keys: Sequence[str], keymap: dict[str, str], key: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem) as refused:
        check_command_keys(keys, keymap, "config.toml", [Binding("question_mark,f1", "help", id="help")])
    assert (refused.value.file, refused.value.key) == ("config.toml", key)


def test_keys_that_are_free() -> None:
    check_command_keys(["ctrl+u", "f5", "D"], {}, "config.toml")
    check_command_keys(["u"], {"upgrade": "f6"}, "config.toml")


async def run(line: str, tmp_path: Path, timeout_s: float = 30) -> tuple[Outcome, list[str], Path]:
    """How it ended, what was shown, and the journal."""
    session = session_of(CALM)
    path = tmp_path / "journal.db"
    session.work_log._path = path
    shown: list[str] = []
    command = OperatorCommand("look", ["web1"], "here", line)
    return await run_command(session, LocalHost("here"), command, timeout_s, shown.extend), shown, path


async def test_it_is_recorded_with_its_exit_status_and_the_end_of_its_output(tmp_path: Path) -> None:
    outcome, shown, path = await run("seq 100; echo '\x1b]0;x\x07' >&2; exit 3", tmp_path)
    assert (outcome.exit_status, outcome.error) == (3, "exit status 3")
    assert len(shown) == 101
    with Journal(path, read_only=True) as journal:
        [entry] = journal.entries(commands=True)
        first, last = (record.event for record in journal.records(entry.id))
        assert isinstance(first, OperatorCommandStarted)
        assert isinstance(last, OperatorCommandFinished)
        assert (first.title, first.nodes, first.where) == ("look", ["web1"], "here")
        assert (last.exit_status, len(last.output)) == (3, MAX_RECORDED_LINES)
        assert r"\x1b]0;x\x07" in last.output
        assert EntrySummary.of(journal, entry).what == "look on web1"
        assert (entry.result, entry.reason) == ("degraded", "exit status 3")
        assert [found.what for found in read_node_entries(journal, "shop", "web1")] == ["look on web1"]
        assert read_node_entries(journal, "shop", "web2") == []
        assert journal.verify().intact
        assert journal.summaries() == [], "who follows rollouts does not see it"
        assert journal.entries() == [], "what decides about rollouts does not see it"


async def test_it_is_forgotten_in_time_whatever_its_exit_status(tmp_path: Path) -> None:
    _, _, path = await run("exit 3", tmp_path)
    with Journal(path) as journal:
        [entry] = journal.entries(commands=True)
        assert entry.ended is not None
        assert journal.prune(entry.ended) == 0
        assert journal.prune(entry.ended + 1) == 1
        assert journal.verify().intact


async def test_one_that_does_not_end_is_ended(tmp_path: Path) -> None:
    outcome, shown, _ = await run("echo begun; exec sleep 1000", tmp_path, timeout_s=0.5)
    assert (outcome.exit_status, outcome.error, shown) == (None, "it was ended after 0.5 s", ["begun"])


async def test_one_that_writes_without_end_is_bounded(tmp_path: Path) -> None:
    outcome, _, _ = await run("yes", tmp_path, timeout_s=0.5)
    assert list(outcome.output) == ["y"] * MAX_RECORDED_LINES
