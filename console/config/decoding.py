"""Decoding of TOML values into typed settings, with errors that name the key, the value and the expectation.

All problems of a configuration are reported, not only the first one. msgspec stops at the first value that
does not fit, so that value is replaced in a copy, in which the same decoder finds the next problem.
"""

import contextlib
import copy
import math
from collections.abc import Iterator
from functools import partial
from typing import Any, TypeVar

import msgspec
from msgspec import inspect

from backends.errors import ConfigError
from console.config.explanation import (
    Path,
    Problem,
    explain,
    format_value,
    matching_structs,
    strip_metadata,
    walk,
)
from console.config.problems import Problems

T = TypeVar("T")

MAX_PROBLEMS = 100  # of one table; a file with more is of another kind
_BITS = 64  # of an integer, as TOML has it


def decode_table(raw: Any, kind: type[T], file: str, key: str) -> dict[str, T]:
    """Decode a table of named tables, such as `[haproxy.NAME]`. Raises ConfigError."""
    if not isinstance(raw, dict):
        raise ConfigError(file, key, f"found {format_value(raw)}, expected a table of named tables")
    problems = Problems()
    found = {
        name: problems.collect(partial(decode, value, kind, file, f"{key}.{name}"), None)
        for name, value in raw.items()
    }
    problems.raise_any()
    return {name: value for name, value in found.items() if value is not None}


def decode_list(raw: Any, kind: type[T], file: str, key: str) -> list[T]:
    """Decode a list of tables, such as `[[hooks]]`. Raises ConfigError."""
    if not isinstance(raw, list):
        raise ConfigError(file, key, f"found {format_value(raw)}, expected a list of tables: [[{key}]]")
    table = {str(index): value for index, value in enumerate(raw)}
    return list(decode_table(table, kind, file, key).values())


def decode(raw: Any, kind: type[T], file: str, key: str) -> T:
    """Decode one table into one struct. Raises ConfigError, or ConfigErrors for several problems."""
    if not any(find_odd_numbers(raw)):
        with contextlib.suppress(msgspec.ValidationError):
            return msgspec.convert(raw, kind)
    problems = Problems()
    for problem in find_problems(raw, kind):
        problems.add(file, ".".join((key, *problem.path)), problem.text)
    problems.raise_any()
    return msgspec.convert(raw, kind)


def find_problems(raw: Any, kind: Any) -> Iterator[Problem]:
    """Yield everything that keeps a value from being decoded into `kind`."""
    return _repair(_RepairedCopy(raw, kind), raw, kind)


def repair(raw: Any, kind: type[T]) -> T | None:
    """Decode the value without its problems, so that the rest can be checked; None when it cannot be."""
    copied = _RepairedCopy(raw, kind)
    for _ in _repair(copied, raw, kind):
        pass
    try:
        return msgspec.convert(copied.raw, kind)
    except msgspec.ValidationError:
        return None


def _repair(copied: "_RepairedCopy", raw: Any, kind: Any) -> Iterator[Problem]:
    for problem in find_odd_numbers(raw):
        yield problem
        copied.mend(problem.broken)
    for _ in range(MAX_PROBLEMS):
        try:
            msgspec.convert(copied.raw, kind)
        except msgspec.ValidationError as error:
            problem = explain(str(error), copied.raw, kind)
        else:
            return
        # The error may come from a replacement, and not from the file.
        follows = copied.made(problem.path) or (problem.own and copied.made_below(problem.path))
        if not follows:
            yield problem
        if not copied.mend(problem.broken, again=follows):
            return


class _RepairedCopy:
    """A copy of a table in which values that do not fit are replaced by ones that do."""

    def __init__(self, raw: Any, kind: Any) -> None:
        self.raw = copy.deepcopy(raw)
        self._kind = kind
        self._changed: set[Path] = set()

    def made(self, path: Path) -> bool:
        """Return whether the value at this path is a replacement."""
        return any(path[: len(changed)] == changed for changed in self._changed)

    def made_below(self, path: Path) -> bool:
        """Return whether the value at this path contains a replacement."""
        return any(changed[: len(path)] == path for changed in self._changed)

    def mend(self, path: Path, *, again: bool = False) -> bool:
        """Replace the value at this path; return whether that could help."""
        if again:
            while path and path in self._changed:
                path = path[:-1]  # the replacement fits no better
        if not path or path in self._changed:
            return False
        self._changed.add(path)
        holder, known = walk(self.raw, self._kind, path[:-1])
        last = path[-1]
        _, wanted = walk(self.raw, self._kind, path)
        if isinstance(holder, list):
            holder[int(last)] = _make_filler(wanted)
            return True
        if not isinstance(holder, dict):
            return self.mend(path[:-1])
        fields = {
            field.encode_name: field for struct in matching_structs(known, holder) for field in struct.fields
        }
        if last in fields and fields[last].required:
            holder[last] = _make_filler(fields[last].type)
        elif last in holder:
            del holder[last]
        else:  # a default does not fit the other values
            return self.mend(path[:-1])
        return True


def _make_filler(known: inspect.Type) -> Any:
    """Return a value that this type accepts, as far as that can be known."""
    known = strip_metadata(known)
    match known:
        case inspect.UnionType(types=types):
            empty = any(isinstance(one, inspect.NoneType) for one in types)
            return None if empty else _make_filler(types[0])
        case inspect.StructType():
            tag = {known.tag_field: known.tag} if known.tag_field else {}
            return tag | {
                field.encode_name: _make_filler(field.type) for field in known.fields if field.required
            }
        case inspect.ListType():
            return [_make_filler(known.item_type)]
        case inspect.DictType():
            return {}
        case inspect.LiteralType():
            return known.values[0]
        case inspect.BoolType():
            return False
        case inspect.IntType() | inspect.FloatType():
            return 1 if known.ge is None else known.ge
    return "x"


def find_odd_numbers(raw: Any, path: Path = ()) -> Iterator[Problem]:
    """Yield numbers that no setting may have.

    `nan` passes every comparison, `inf` is no deadline, and endless digits cannot even be printed.
    """
    if isinstance(raw, dict):
        for name, value in raw.items():
            yield from find_odd_numbers(value, (*path, name))
    elif isinstance(raw, list):
        for index, value in enumerate(raw):
            yield from find_odd_numbers(value, (*path, str(index)))
    elif isinstance(raw, float) and not math.isfinite(raw):
        yield Problem(path, f"found {raw}, expected a finite number", path)
    elif isinstance(raw, int) and raw.bit_length() >= _BITS:
        yield Problem(path, f"found a whole number of more than {_BITS} bits", path)
