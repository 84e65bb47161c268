"""Filters for the list of entries, the same for `rolldeck history` and for the console."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any

from backends.text import there_is
from orchestrator.journal.entries import NO_ROLLOUTS, UNKNOWN, Entry
from orchestrator.journal.entry_status import entry_status
from orchestrator.journal.entry_summary import batches_of, nodes_of
from orchestrator.journal.store import Journal

RESULTS = ("healthy", "degraded", "aborted", "running", "interrupted", "no-end", UNKNOWN)
"""What `entry_status` may say, each as one word."""
PAGE_ENTRIES = 200  # entries that are read at once

_SPAN = re.compile(r"([1-9]\d{0,5}) ?(m|min|h|d|w)")
_UNITS = {"m": "minutes", "min": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_DATE_FORMS = ("%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S")
SINCE_HINT = "30m, 12h, 7d, 2w, today, yesterday, 2026-11-20 or '2026-11-20 14:00'"


@dataclass(frozen=True, slots=True)
class EntryFilter:
    """Which entries to list; an empty field selects all.

    Attributes:
        application: its name.
        since: the entry began at this time or later, in seconds since 1970.
        results: some of `RESULTS`.
        node: the name or pattern (`web[12]`, `web*`) of a node that the entry worked on.
        operator: the name or pattern of who began it, with or without the machine.
    """

    application: str = ""
    since: float | None = None
    results: tuple[str, ...] = ()
    node: str = ""
    operator: str = ""

    def selects(self, entry: Entry) -> bool:
        """Return whether an entry is to be listed."""
        return (
            self.application in ("", entry.application)
            and (self.since is None or entry.began >= self.since)
            and (not self.operator or _is_by(entry.operator, self.operator))
            and (not self.node or any(fnmatchcase(name, self.node) for name in worked_on(entry)))
            and (not self.results or entry_status(entry).replace(" ", "-") in self.results)
        )


def worked_on(entry: Entry) -> list[str]:
    """Return the nodes that an entry was to change, or that a command was about."""
    if entry.kind in NO_ROLLOUTS:
        return nodes_of(entry)
    return [name for batch in batches_of(entry) for name in batch]


def _is_by(operator: str, pattern: str) -> bool:
    return any(fnmatchcase(name, pattern) for name in (operator, operator.partition("@")[0]))


def find_entries(
    journal: Journal, wanted: EntryFilter, limit: int = -1, *, before: int = 0
) -> Iterator[Entry]:
    """Yield the entries that a filter selects, the newest first, also those that cannot be read.

    A long journal is read page by page, as far as the caller goes.

    Args:
        journal: the journal.
        wanted: the filter.
        limit: their number at most; -1 for all.
        before: only entries with a smaller id than this one; 0 for all.

    Raises:
        JournalError: it cannot be read.
    """
    found = 0
    while True:
        page = journal.entries(
            wanted.application, limit=PAGE_ENTRIES, unknown=True, before=before, commands=True
        )
        for entry in page:
            if wanted.selects(entry):
                found += 1
                yield entry
                if found == limit:
                    return
        if len(page) < PAGE_ENTRIES:
            return
        before = page[-1].id


def parse_since(text: str, now: float) -> float:
    """Return the time that a text names, in seconds since 1970.

    Args:
        text: a time span before now, a day, or a day and a time, in local time.
        now: in seconds since 1970.

    Raises:
        ValueError: it is none of these; the text is written for operators.
    """
    text = text.strip()
    moment = datetime.fromtimestamp(now, UTC).astimezone()
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    if text in ("today", "yesterday"):
        return (midnight - timedelta(days=text == "yesterday")).timestamp()
    try:
        if (span := _SPAN.fullmatch(text)) is not None:
            return (moment - timedelta(**{_UNITS[span[2]]: int(span[1])})).timestamp()
        for form in _DATE_FORMS:
            try:
                return datetime.strptime(text, form).timestamp()  # noqa: DTZ007 - local time is meant
            except ValueError:
                continue
    except OverflowError:
        pass
    raise ValueError(f"found {text[:40]!r}, expected {SINCE_HINT}")


def parse_results(text: str) -> tuple[str, ...]:
    """Return the results in a text, separated by commas or spaces.

    Raises:
        ValueError: one of them is no result; the text is written for operators.
    """
    found = tuple(dict.fromkeys(text.replace(",", " ").split()))
    for result in found:
        if result not in RESULTS:
            raise ValueError(f"no result {result[:40]!r}; {there_is(result, RESULTS)}")
    return found


_WORDS = {"since": "since", "result": "results", "node": "node", "by": "operator", "app": "application"}
FILTER_HINT = "since:7d result:degraded node:web2 by:ann"


def parse_filter(text: str, now: float, application: str = "") -> EntryFilter:
    """Return the filter that a line such as `since:7d result:degraded,aborted node:web* by:ann` stands for.

    Args:
        text: words of the form KEY:VALUE; a time with a space is written with a `T`, as `2026-11-20T14:00`.
        now: in seconds since 1970.
        application: the one to which entries belong unless the line names another one.

    Raises:
        ValueError: it cannot be understood; the text is written for operators.
    """
    fields: dict[str, Any] = {"application": application}
    for word in text.split():
        key, colon, value = word.partition(":")
        if not colon or key not in _WORDS:
            raise ValueError(f"found {word[:40]!r}, expected words such as {FILTER_HINT}, or app:shop")
        if not value:
            raise ValueError(f"{key}: found nothing, expected a value")
        match key:
            case "since":
                fields["since"] = parse_since(value, now)
            case "result":
                fields["results"] = parse_results(value)
            case _:
                fields[_WORDS[key]] = value
    return EntryFilter(**fields)
