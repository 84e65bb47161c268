"""Numbers with their nouns, as they are said in English."""


def counted(number: int, noun: str) -> str:
    """`1 node`, `120,000 nodes`, `2 batches`, `0 entries`."""
    return f"{number:,} {noun if number == 1 else plural(noun)}"


def plural(noun: str) -> str:
    """`nodes` of `node`; of several words the last one changes."""
    if noun.endswith(("s", "x", "ch", "sh")):
        return f"{noun}es"
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return f"{noun[:-1]}ies"
    return f"{noun}s"
