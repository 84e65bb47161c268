"""From TOML values to typed settings, with errors that name the key, what was found and what was expected."""

import difflib
import re
from collections.abc import Iterator
from typing import Any, TypeVar

import msgspec
from msgspec import inspect

from backends.errors import ConfigError

T = TypeVar("T")

_UNKNOWN = re.compile(r"Object contains unknown field `(.+)`")
_MISSING = re.compile(r"Object missing required field `(.+)`")


def decode_table(raw: Any, kind: type[T], file: str, key: str) -> dict[str, T]:
    """A table of named tables, such as `[haproxy.NAME]`. Raises ConfigError."""
    if not isinstance(raw, dict):
        raise ConfigError(file, key, f"found {_shown(raw)}, expected a table of named tables")
    return {name: decode(value, kind, file, f"{key}.{name}") for name, value in raw.items()}


def decode(raw: Any, kind: type[T], file: str, key: str) -> T:
    """One table into one struct. Raises ConfigError."""
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        raise _explained(error, raw, kind, file, key) from None


def _explained(error: Exception, raw: Any, kind: Any, file: str, key: str) -> ConfigError:
    """msgspec says what and where (`$.health.status`); we add our key, what was found and what fits."""
    text, _, path = str(error).partition(" - at `")
    parts = [each for each in re.split(r"[.\[\]]+", path.rstrip("`").removeprefix("$")) if each]
    here = ".".join([key, *parts])
    value, struct = _walk(raw, kind, parts)
    if match := _UNKNOWN.match(text):
        fields = sorted(_fields(struct, value))
        close = difflib.get_close_matches(match[1], fields, 1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        expected = f"{hint}expected one of: {', '.join(fields)}" if fields else ""
        return ConfigError(file, f"{here}.{match[1]}", f"unknown key; {expected}")
    if match := _MISSING.match(text):
        return ConfigError(file, f"{here}.{match[1]}", "missing; it has no default")
    if isinstance(value, dict):
        return ConfigError(file, here, text)
    wanted = text[0].lower() + text[1:]
    return ConfigError(file, here, f"found {_shown(value)}, {wanted}")


def _walk(raw: Any, kind: Any, parts: list[str]) -> tuple[Any, inspect.Type]:
    """The value at this path, and the type that it should have."""
    value, known = raw, inspect.type_info(kind)
    for part in parts:
        for struct in _structs(known, value):
            found = [each.type for each in struct.fields if each.encode_name == part]
            known = found[0] if found else inspect.AnyType()
        if isinstance(value, dict):
            value = value.get(part)
        elif isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
    return value, known


def _fields(known: inspect.Type, value: Any) -> set[str]:
    names = {each.encode_name for struct in _structs(known, value) for each in struct.fields}
    tags = {each.tag_field for each in _structs(known, value) if each.tag_field}
    return names | tags


def _structs(known: inspect.Type, value: Any) -> Iterator[inspect.StructType]:
    """The struct that a value is meant to be: in a union its `kind` decides."""
    candidates = known.types if isinstance(known, inspect.UnionType) else (known,)
    for each in candidates:
        if isinstance(each, inspect.StructType) and (
            each.tag_field is None or not isinstance(value, dict) or value.get(each.tag_field) == each.tag
        ):
            yield each


def _shown(value: Any) -> str:
    return "nothing" if value is None else repr(value)[:80]
