"""Whether the journal is what was written, for people and for programs."""

from collections.abc import Iterator

from backends.text import counted
from console.output.text import clean, paint
from orchestrator.events.events import SCHEMA
from orchestrator.journal.verification import EntryVerification, Verification

_WORDS = {
    "intact": ("intact", "ok"),
    "unverifiable": ("written before hashes, not verifiable", "info"),
    "broken": ("BROKEN", "bad"),
}


def verified(found: Verification, path: str) -> Iterator[str]:
    """A line for each entry with what is wrong with it, the journal's own chain, and a verdict."""
    for entry in found.entries:
        yield _entry(entry)
        yield from (f"  {clean(problem)}" for problem in entry.problems)
    for problem in found.problems:
        yield paint(f"journal: {clean(problem)}", "bad")
    if found.head:
        pruned = f", removed because of their age: {found.pruned}" if found.pruned else ""
        yield f"journal: head {found.head}{pruned}"
    if found.intact:
        yield f"{clean(path)}: no hash is wrong"
    else:
        yield paint(f"{clean(path)}: it is NOT what was written", "bad")


def _entry(entry: EntryVerification) -> str:
    words, kind = _WORDS[entry.state]
    head = f", head {entry.head}" if entry.head else ""
    unsealed = entry.state == "intact" and entry.sealed is None
    doubt = ", not sealed: it may lack its last events" if unsealed else ""
    return f"entry {entry.entry}: {paint(words, kind)}, {counted(entry.events, 'event')}{head}{doubt}"


def verified_fields(found: Verification) -> Iterator[dict[str, object]]:
    """For `--json`: each entry, then the journal."""
    for entry in found.entries:
        yield {
            "schema": SCHEMA,
            "kind": "entry_verification",
            "entry": entry.entry,
            "state": entry.state,
            "events": entry.events,
            "head": entry.head,
            "sealed": entry.sealed,
            "problems": list(entry.problems),
        }
    yield {
        "schema": SCHEMA,
        "kind": "journal_verification",
        "intact": found.intact,
        "head": found.head,
        "pruned": found.pruned,
        "problems": list(found.problems),
    }
