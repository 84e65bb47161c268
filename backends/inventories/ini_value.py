"""Values of Ansible's INI form: literals of Python, or texts. Read when they are needed."""

import ast
import warnings
from functools import lru_cache
from typing import Any

_LONGEST_LITERAL = 1000  # characters; Python's own parser is not made for endless ones


class IniText(str):
    """A value as it is written: of 20,000 hosts most are never looked at."""

    __slots__ = ()


def as_literal(text: str) -> Any:
    """As Ansible does: a literal of Python if it is one, which also ends quotes and comments, or the text."""
    return _literal(str(text)) if len(text) <= _LONGEST_LITERAL else str(text)


@lru_cache(1000)  # most hosts have the same port and user
def _literal(text: str) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return text
