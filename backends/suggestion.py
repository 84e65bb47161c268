"""What to say of a name that there is not: which one was meant perhaps, and which ones there are."""

from collections.abc import Collection, Iterable

_COMPARED = 80  # characters of the name that was found
_BEGINNING = 4  # letters of a name that are enough to know it by
_LISTED = 30  # names; more would hide what was said before them


def closest(found: object, known: Iterable[str]) -> str:
    """The known name that was meant perhaps; empty when none is close.

    One letter may differ, two in a name of six letters and more, and three in one of ten; capitals do not
    count. Of several the last one in the alphabet is taken. Else it may be how the name begins.
    """
    text = str(found)[:_COMPARED].lower()
    best, meant, longer = _LIMITS[-1][1], "", ""
    for name in sorted(known):
        limit = min(best, _limit(len(text), len(name)))
        if (distance := _distance(text, name.lower(), limit)) <= limit:
            best, meant = distance, name
        elif len(text) >= _BEGINNING and name.lower().startswith(text):
            longer = min(longer or name, name, key=len)
    return meant or longer


def suggest(found: object, known: Collection[str]) -> str:
    """`did you mean 'web1'? `, with a space at its end; empty when no name is close."""
    meant = closest(found, known)
    return f"did you mean {meant!r}? " if meant else ""


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


_LIMITS = ((3, 1), (6, 2), (10, 3))  # from so many letters of a known name on, so many may differ


def _limit(found: int, known: int) -> int:
    """How many letters may differ between names of these lengths; the one that was found may lack one."""
    return max((most for least, most in _LIMITS if known >= least and found >= least - 1), default=0)


def _distance(one: str, other: str, limit: int) -> int:
    """Letters to add, leave out, change or swap with their neighbour, to come from one to the other.

    Any number above the limit where it is above that: most names are given up after a few letters.
    """
    if not limit or abs(len(one) - len(other)) > limit:
        return 0 if one == other else limit + 1
    pairs = enumerate(zip(one, other, strict=False))
    same = next((at for at, (mine, its) in pairs if mine != its), min(len(one), len(other)))
    one, other = one[same:], other[same:]
    rows = [list(range(len(other) + 1))]
    for i, letter in enumerate(one, 1):
        row = [i]
        for j, wanted in enumerate(other, 1):
            best = min(rows[-1][j] + 1, row[-1] + 1, rows[-1][j - 1] + (letter != wanted))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == wanted:
                best = min(best, rows[-2][j - 2] + 1)
            row.append(best)
        rows.append(row)
        if i > 1 and min(*rows[-1], *rows[-2]) > limit:
            return limit + 1
    return rows[-1][-1]
