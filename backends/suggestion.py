"""What to say of a name that there is not: which one was meant perhaps, and which ones there are."""

import difflib
from collections.abc import Collection

_COMPARED = 80  # characters of the name that was found
_LISTED = 30  # names; more would hide what was said before them


def suggest(found: object, known: Collection[str]) -> str:
    """`did you mean 'web1'? `, with a space at its end; empty when no name is close."""
    text = str(found)[:_COMPARED]
    close = difflib.get_close_matches(text, known, 1)
    close = close or [name for name in known if name.lower() == text.lower()]
    return f"did you mean {close[0]!r}? " if close else ""


def one_of(found: object, known: Collection[str]) -> str:
    """The choices, and which of them was meant perhaps."""
    return f"{suggest(found, known)}expected one of: {', '.join(known)}"


def there_is(found: object, known: Collection[str]) -> str:
    """The names that there are, and which of them was meant perhaps."""
    names = list(known)
    more = f" and {len(names) - _LISTED:,} more" if len(names) > _LISTED else ""
    return f"{suggest(found, known)}there is: {', '.join(names[:_LISTED]) or 'none'}{more}"


def absent(missing: Collection[str], known: Collection[str]) -> str:
    """`shopp (did you mean 'shop'?); there is: shop, api`, for all that is missing."""
    hints = (f"{name} ({hint.strip()})" if (hint := suggest(name, known)) else name for name in missing)
    return f"{', '.join(hints)}; {there_is('', known)}"
