"""What a verification of the journal has found, as text and as JSON."""

from collections.abc import Iterator

from backends.text import counted
from console.terminal.output import clean, paint
from orchestrator.journal.verification import EntryVerification, Verification

_STATE_TEXT = {
    "intact": ("intact", "ok"),
    "unverifiable": ("written before hashes, not verifiable", "info"),
    "broken": ("BROKEN", "bad"),
}


def verification_lines(found: Verification, path: str) -> Iterator[str]:
    """Yield a line and the problems of each entry, the head of the journal, and the verdict."""
    for entry in found.entries:
        yield _verification_line(entry)
        yield from (f"  {clean(problem)}" for problem in entry.problems)
    for problem in found.problems:
        yield paint(f"journal: {clean(problem)}", "bad")
    if found.head:
        pruned = f", removed because of their age: {found.pruned}" if found.pruned else ""
        yield f"journal: head {found.head}{pruned}"
    if found.intact:
        yield f"{clean(path)}: all hashes match"
    else:
        yield paint(f"{clean(path)}: it was CHANGED", "bad")


def _verification_line(entry: EntryVerification) -> str:
    text, kind = _STATE_TEXT[entry.state]
    head = f", head {entry.head}" if entry.head else ""
    unsealed = entry.state == "intact" and entry.sealed is None
    doubt = ", not sealed: it may lack its last events" if unsealed else ""
    return f"entry {entry.entry}: {paint(text, kind)}, {counted(entry.events, 'event')}{head}{doubt}"


def verification_fields(found: Verification) -> Iterator[dict[str, object]]:
    """Yield the JSON objects: one for each entry, then one for the journal."""
    for entry in found.entries:
        yield {
            "kind": "entry_verification",
            "entry": entry.entry,
            "state": entry.state,
            "events": entry.events,
            "head": entry.head,
            "sealed": entry.sealed,
            "problems": list(entry.problems),
        }
    yield {
        "kind": "journal_verification",
        "intact": found.intact,
        "head": found.head,
        "pruned": found.pruned,
        "problems": list(found.problems),
    }
