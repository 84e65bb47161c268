"""The names that the shell completes: applications, nodes, versions and entries of the journal.

A completion must answer at once and never fail, so it reads the configuration and the journal, and asks
neither HAProxy nor Consul. What cannot be read completes nothing.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    from console.config.config_file import Config
    from orchestrator.journal.store import Journal

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]

MAX_ENTRIES = 50  # of the journal that are looked through, the newest ones
_SOURCE_TIMEOUT_S = 1.0  # for a file of nodes, or a program that prints them


def _completing(find: "Callable[[click.Context], Iterable[tuple[str, str]]]") -> Complete:
    """Make a completion from a function that yields values and what a shell may show beside them."""

    def complete(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
        with contextlib.suppress(Exception):  # an error would be printed into the command line
            # A shell reads lines, and would run what a terminal makes of anything else.
            found = dict.fromkeys(
                pair for pair in find(context) if pair[0].startswith(incomplete) and pair[0].isprintable()
            )
            return [CompletionItem(value, help=text or None) for value, text in found]
        return []

    return complete


def _load(context: click.Context) -> "Config":
    from console.config.config_file import find_and_load

    return find_and_load(context.find_root().params.get("config_file"))


@contextlib.contextmanager
def _open_journal(config: "Config") -> "Iterator[Journal]":
    from console.paths import journal_path
    from orchestrator.journal.store import Journal

    with Journal(journal_path(config.journal.path), read_only=True) as journal:
        yield journal


@_completing
def complete_applications(context: click.Context) -> Iterator[tuple[str, str]]:
    """Complete the applications of the configuration."""
    yield from ((name, "") for name in _load(context).apps)


@_completing
def complete_nodes(context: click.Context) -> Iterator[tuple[str, str]]:
    """Complete the nodes of the application: those that are configured, then those of earlier entries."""
    import asyncio

    config = _load(context)
    app = _find_application(context, config)
    for name in asyncio.run(_configured_nodes(config, app)):
        yield name, ""
    with _open_journal(config) as journal:
        for entry in journal.entries(app, limit=MAX_ENTRIES):
            for node in entry.plan.get("nodes", ()):
                yield (node if isinstance(node, str) else str(node["node"])), ""


@_completing
def complete_versions(context: click.Context) -> Iterator[tuple[str, str]]:
    """Complete the versions of earlier rollouts of the application, the newest first, with their results."""
    config = _load(context)
    app = _find_application(context, config)
    with _open_journal(config) as journal:
        for entry in journal.entries(app, limit=MAX_ENTRIES):
            if entry.version:
                yield entry.version, entry.result or "not finished"


@_completing
def complete_entries(context: click.Context) -> Iterator[tuple[str, str]]:
    """Complete the numbers of the newest entries of the journal."""
    with _open_journal(_load(context)) as journal:
        for entry in journal.entries(limit=MAX_ENTRIES, commands=True):
            yield str(entry.id), f"{entry.kind} of {entry.application} {entry.version}".rstrip()


def _find_application(context: click.Context, config: "Config") -> str:
    """Return the application of the command line; the first one if none is named."""
    # Behind an option whose value is still missing, click has not assigned the arguments yet.
    named = context.params.get("app") or next(iter(context.args), "")
    return str(named or next(iter(config.apps)))


async def _configured_nodes(config: "Config", app: str) -> Iterable[str]:
    import asyncio

    from orchestrator.inventory.kinds import needs_consul

    if needs_consul(config.app(app).inventory):
        return ()
    with contextlib.suppress(Exception):  # the journal may know some all the same
        async with asyncio.timeout(_SOURCE_TIMEOUT_S):
            return await config.source_of(app, None).read()
    return ()
