"""From TOML values to typed settings, with errors that name the key, what was found and what was expected."""

import contextlib
from functools import partial
from typing import Any, TypeVar

import msgspec

from backends.errors import ConfigError
from console.explanation import shown
from console.problems import Problems, find_problems, odd_numbers

T = TypeVar("T")


def decode_table(raw: Any, kind: type[T], file: str, key: str) -> dict[str, T]:
    """A table of named tables, such as `[haproxy.NAME]`. Raises ConfigError."""
    if not isinstance(raw, dict):
        raise ConfigError(file, key, f"found {shown(raw)}, expected a table of named tables")
    problems = Problems()
    found = {
        name: problems.collect(partial(decode, value, kind, file, f"{key}.{name}"), None)
        for name, value in raw.items()
    }
    problems.raise_any()
    return {name: value for name, value in found.items() if value is not None}


def decode_list(raw: Any, kind: type[T], file: str, key: str) -> list[T]:
    """A list of tables, such as `[[hooks]]`. Raises ConfigError."""
    if not isinstance(raw, list):
        raise ConfigError(file, key, f"found {shown(raw)}, expected a list of tables: [[{key}]]")
    table = {str(index): value for index, value in enumerate(raw)}
    return list(decode_table(table, kind, file, key).values())


def decode(raw: Any, kind: type[T], file: str, key: str) -> T:
    """One table into one struct. Raises ConfigError; a ConfigErrors when several things are wrong."""
    if not any(odd_numbers(raw)):
        with contextlib.suppress(msgspec.ValidationError):
            return msgspec.convert(raw, kind)
    problems = Problems()
    for problem in find_problems(raw, kind):
        problems.add(file, ".".join((key, *problem.path)), problem.text)
    problems.raise_any()
    return msgspec.convert(raw, kind)
