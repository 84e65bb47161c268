"""What to say of a name that there is not: which one was meant perhaps, and which ones there are."""

import difflib
from collections.abc import Collection

_COMPARED = 80  # characters of the name that was found


def suggest(found: object, known: Collection[str]) -> str:
    """`did you mean 'web1'? `, with a space at its end; empty when no name is close."""
    text = str(found)[:_COMPARED]
    same = [name for name in known if name.lower() == text.lower()]
    close = difflib.get_close_matches(text, known, 1) or same
    return f"did you mean {close[0]!r}? " if close else ""
