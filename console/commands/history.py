"""`rolldeck history`: the entries of the journal, which is only read, even while others write it."""

import re
import shutil
import sys
import time
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from backends.errors import ConfigError
from backends.local_files import write_private
from backends.text import there_is
from console.completion import complete_applications, complete_entries, complete_nodes
from console.config.config_file import find_and_load
from console.exit_codes import ExitCode
from console.option_values import parse_with
from console.paths import journal_path
from console.terminal.history import entry_lines, entry_table
from console.terminal.output import clean, on_terminal, result, result_json, say
from console.terminal.timeline import transcript_lines
from console.terminal.verification import verification_fields, verification_lines
from orchestrator.events.events import Record
from orchestrator.events.json import event_fields, to_fields
from orchestrator.events.timeline import Timeline
from orchestrator.journal.entries import Entry
from orchestrator.journal.entry_filter import RESULTS, EntryFilter, find_entries, parse_results, parse_since
from orchestrator.journal.entry_summary import EntrySummary
from orchestrator.journal.store import Journal


class DefaultGroup(click.Group):
    """Group whose default command is `list`; an application called "show" needs `list show`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        given = 0  # arguments that belong to our own options
        while args[given : given + 1] and args[given].partition("=")[0] == "--journal":
            given += 1 if "=" in args[given] else 2
        own = (*self.commands, *self.get_help_option_names(ctx))
        # A shell that completes the next word may still be given a command.
        if args[given] not in own if args[given:] else not ctx.resilient_parsing:
            args = [*args[:given], "list", *args[given:]]
        return super().parse_args(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        applications = [parameter for parameter in list_entries.params if parameter.name == "app"]
        found = [item for app in applications for item in app.shell_complete(ctx, incomplete)]
        options = list_entries.shell_complete(ctx, incomplete)
        return [*super().shell_complete(ctx, incomplete), *found, *options]


@click.group(cls=DefaultGroup, subcommand_metavar="[APP] | show ID | export ID | verify [ID]")
@click.option("--journal", "journal", metavar="FILE", help="Use this journal instead of the configured one.")
@click.pass_context
def history(ctx: click.Context, journal: str | None) -> None:
    """List past rollouts and manual changes, with their steps and commands."""
    ctx.obj = (ctx.obj, journal)


JournalSource = tuple[str | None, str | None]
"""The files that the command line names: the configuration, and the journal."""


def _complete_results(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(result) for result in RESULTS if result.startswith(incomplete)]


def _open_journal(source: JournalSource) -> Journal:
    """Open the journal for reading. Raises ConfigError, JournalError."""
    config_file, journal = source
    if journal is not None:
        if not Path(journal).exists():
            raise ConfigError(journal, "", "there is no such journal")
        return Journal(Path(journal), read_only=True, named=True)
    return Journal(journal_path(find_and_load(config_file).journal.path), read_only=True)


@history.command("list", short_help="List the entries, newest first (the default).")
@click.argument("app", required=False, shell_complete=complete_applications)
@click.option(
    "--limit", type=click.IntRange(1), default=20, show_default=True, help="Maximum number of entries."
)
@click.option(
    "--since",
    metavar="TIME",
    callback=parse_with(lambda text: parse_since(text, time.time())),
    help="Only entries that began then or later, such as 12h, 7d, yesterday or 2026-11-20.",
)
@click.option(
    "--result",
    "results",
    metavar="RESULT",
    callback=parse_with(parse_results),
    shell_complete=_complete_results,
    help=f"Only entries with one of these results: {', '.join(RESULTS)}.",
)
@click.option(
    "--node",
    metavar="NODE",
    default="",
    shell_complete=complete_nodes,
    help="Only entries that worked on this node, such as web1 or 'web[12]'.",
)
@click.option(
    "--operator", metavar="NAME", default="", help="Only entries of this operator, such as ann or 'ann@ops*'."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each entry.")
@click.pass_obj
def list_entries(
    source: JournalSource,
    app: str | None,
    limit: int,
    since: float | None,
    results: tuple[str, ...] | None,
    node: str,
    operator: str,
    as_json: bool,
) -> int:
    """List the entries, newest first, for one application or for all (the default)."""
    wanted = EntryFilter(app or "", since, results or (), node, operator)
    with _open_journal(source) as journal:
        found = [EntrySummary.of(journal, entry) for entry in find_entries(journal, wanted, limit)]
        if as_json:
            for summary in found:
                result_json(summary.fields())
            return ExitCode.HEALTHY
        if not found:
            names = sorted({entry.application for entry in journal.entries(unknown=True, commands=True)})
            known = not app or app in names
            there = (
                f"; {there_is(app or '', names)}" if names and (not known or wanted == EntryFilter()) else ""
            )
            such = "such " if wanted != EntryFilter(app or "") else ""
            of = f" of {app}" if app else ""
            say(clean(f"no {such}entries{of} in the journal {journal.path}{there}"))
            return ExitCode.HEALTHY
    for line in entry_table(found, _terminal_columns()):
        result(line)
    return ExitCode.HEALTHY


def _terminal_columns() -> int:
    """Return the width of the terminal; 0 without one, so that piped output is never shortened."""
    return shutil.get_terminal_size().columns if on_terminal(sys.stdout) else 0


@history.command(short_help="Show one entry in detail.")
@click.argument(
    "entry_id",
    metavar="ID",
    type=click.IntRange(1, 2**63 - 1),
    shell_complete=complete_entries,
)
@click.option("--json", "as_json", is_flag=True, help="Print the entry, then each event, as lines of JSON.")
@click.option("--transcript", "commands", is_flag=True, help="Also print every command and its raw reply.")
@click.pass_obj
def show(source: JournalSource, entry_id: int, as_json: bool, commands: bool) -> int:
    """Show one entry in detail: who, when, each step of each node, and what was out of rotation."""
    summary, records = _read_entry(source, entry_id)
    if as_json:
        verdict = Timeline.of(records).state.verdict
        last = {} if verdict is None else {"verdict": to_fields(verdict)}
        result_json(summary.fields() | last | {"plan": summary.entry.plan})
        for record in records:
            result_json(event_fields(record, entry=summary.entry.id))
        return ExitCode.HEALTHY
    for line in entry_lines(summary, Timeline.of(records), _terminal_columns()):
        result(line)
    if commands:
        result()
        for line in transcript_lines(records):
            result(line)
    return ExitCode.HEALTHY


@history.command(short_help="Write one entry as a single HTML file.")
@click.argument(
    "entry_id",
    metavar="ID",
    type=click.IntRange(1, 2**63 - 1),
    shell_complete=complete_entries,
)
@click.option(
    "--output", metavar="FILE", help="File to write (default: rolldeck-ID.html); `-` for standard output."
)
@click.option("--force", is_flag=True, help="Replace an existing file.")
@click.pass_obj
def export(source: JournalSource, entry_id: int, output: str | None, force: bool) -> int:
    """Write one entry as a single self-contained HTML file."""
    from console.report.report import render_report

    name = output or f"rolldeck-{entry_id}.html"
    summary, records = _read_entry(source, entry_id)
    text = render_report(summary, records)
    if name == "-":
        result(text.rstrip("\n"))
        return ExitCode.HEALTHY
    try:
        write_private(Path(name), text.encode(errors="backslashreplace"), replace=force)
    except FileExistsError:
        problem = "exists already; --force replaces it, --output writes another"
        raise ConfigError(name, "", problem) from None
    except OSError as error:
        raise ConfigError(name, "", f"cannot be written: {error.strerror}") from None
    say(f"wrote {clean(name)}")
    return ExitCode.HEALTHY


@history.command(short_help="Verify that the journal was not changed.")
@click.argument(
    "entry_id",
    metavar="[ID]",
    type=click.IntRange(1, 2**63 - 1),
    required=False,
    shell_complete=complete_entries,
)
@click.option("--head", metavar="HASH", help="Head that was stored elsewhere; it must be in the journal.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object for each entry, then one for the journal."
)
@click.pass_obj
def verify(source: JournalSource, entry_id: int | None, head: str | None, as_json: bool) -> int:
    """Recalculate the hashes of all events, or of one entry, and list what has been changed.

    Exits 0 if nothing was changed and the head of --head was found, else 1. Anybody who can write the journal
    can also write its hashes. A head that was stored elsewhere (hooks get it as `journal_head`) proves more:
    pass it with --head.
    """
    if head is not None and not re.fullmatch("[0-9a-fA-F]{64}", head):
        raise click.BadParameter("expected 64 hexadecimal digits", param_hint="--head")
    with _open_journal(source) as journal:
        if entry_id is not None:
            _find_entry(journal, entry_id)
        found = journal.verify(entry_id)
        where = journal.find(head) if head is not None else None
    lost = head is not None and (where is None or entry_id not in (None, where[0]))
    if as_json:
        at = {"head_found": None if lost or where is None else {"entry": where[0], "seq": where[1]}}
        *entries, whole = verification_fields(found)
        for fields in (*entries, whole | (at if head is not None else {})):
            result_json(fields)
    else:
        for line in verification_lines(found, str(journal.path)):
            result(line)
        if lost:
            result(f"{head}: no such head{f' of entry {entry_id}' if entry_id else ''}")
        elif where is not None:
            result(f"{head}: the head of entry {where[0]} up to event {where[1]}")
    return ExitCode.HEALTHY if found.intact and not lost else ExitCode.DEGRADED


def _read_entry(source: JournalSource, entry_id: int) -> tuple[EntrySummary, list[Record]]:
    """Return the entry and its events. Raises ConfigError for an unknown entry, JournalError."""
    with _open_journal(source) as journal:
        entry = _find_entry(journal, entry_id)
        return EntrySummary.whole(journal, entry), list(journal.records(entry.id))


def _find_entry(journal: Journal, entry_id: int) -> Entry:
    """Return the entry. Raises ConfigError when there is none with this number, JournalError."""
    entry = journal.entry(entry_id)
    if entry is None:
        newest = next(iter(journal.entries(limit=1, unknown=True, commands=True)), None)
        there = f"the newest is {newest.id}" if newest is not None else "it is empty"
        raise ConfigError(str(journal.path), "", f"the journal has no entry {entry_id}; {there}")
    return entry
