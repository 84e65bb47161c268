"""From TOML values to typed settings, with errors that name the key, what was found and what was expected."""

import datetime
import difflib
import math
import re
from collections.abc import Collection, Iterator, Sequence
from typing import Any, TypeVar

import msgspec
from msgspec import inspect

from backends.errors import ConfigError

T = TypeVar("T")

_AT = re.compile(r"(.*) - at `(\$[^`]*)`", re.DOTALL)
_PART = re.compile(r"\.([^.\[\]]+)|\[([^\]]+)\]")
_UNKNOWN = re.compile(r"Object contains unknown field `(.+)`", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.+)`")
_EXPECTED = re.compile(r"Expected `([^`]+)`(?:, got `([^`]+)`)?(.*)", re.DOTALL)
_PASSWORD = re.compile(r"(?<=://)[^\s/@:]*:\S*@")
_WORDS = {
    "str": "a text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "object": "a table",
    "array": "a list",
    "null": "nothing",
}
_BITS = 64  # of an integer, as TOML has it


def decode_table(raw: Any, kind: type[T], file: str, key: str) -> dict[str, T]:
    """A table of named tables, such as `[haproxy.NAME]`. Raises ConfigError."""
    if not isinstance(raw, dict):
        raise ConfigError(file, key, f"found {shown(raw)}, expected a table of named tables")
    return {name: decode(value, kind, file, f"{key}.{name}") for name, value in raw.items()}


def decode_list(raw: Any, kind: type[T], file: str, key: str) -> list[T]:
    """A list of tables, such as `[[hooks]]`. Raises ConfigError."""
    if not isinstance(raw, list):
        raise ConfigError(file, key, f"found {shown(raw)}, expected a list of tables: [[{key}]]")
    return [decode(value, kind, file, f"{key}.{index}") for index, value in enumerate(raw)]


def decode(raw: Any, kind: type[T], file: str, key: str) -> T:
    """One table into one struct. Raises ConfigError."""
    _refuse_odd_numbers(raw, file, key)
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        raise _explained(str(error), raw, kind, file, key) from None


def unknown(name: str, known: Collection[str]) -> str:
    """What to say of a key that there is not."""
    return f"unknown key; {one_of(name, known)}"


def one_of(found: object, known: Collection[str]) -> str:
    """The choices, and which of them was meant perhaps."""
    close = difflib.get_close_matches(str(found)[:80], known, 1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}expected one of: {', '.join(known)}"


def shown(value: Any) -> str:
    """A value for an error, without what may be secret in it."""
    match value:
        case None:
            return "nothing"
        case bool():
            return str(value).lower()
        case str():
            return repr(_PASSWORD.sub("***@", value))[:80]
        case dict():
            return "a table"
        case list():
            return "a list"
        case datetime.date() | datetime.time():
            return f"the date or time {value.isoformat()}"
    return repr(value)


def _refuse_odd_numbers(raw: Any, file: str, key: str) -> None:
    """`nan` passes every comparison, `inf` is no deadline, and endless digits cannot even be printed."""
    if isinstance(raw, dict):
        for name, value in raw.items():
            _refuse_odd_numbers(value, file, f"{key}.{name}")
    elif isinstance(raw, list):
        for index, value in enumerate(raw):
            _refuse_odd_numbers(value, file, f"{key}.{index}")
    elif isinstance(raw, float) and not math.isfinite(raw):
        raise ConfigError(file, key, f"found {raw}, expected a finite number")
    elif isinstance(raw, int) and raw.bit_length() >= _BITS:
        raise ConfigError(file, key, f"found a whole number of more than {_BITS} bits")


def _explained(error: str, raw: Any, kind: Any, file: str, key: str) -> ConfigError:
    """msgspec says what and where (`$.health.status`); we add our key, what was found and what fits."""
    match = _AT.fullmatch(error)
    text, path = (match[1], match[2]) if match else (error, "$")
    parts = [name or index for name, index in _PART.findall(path)]
    here = ".".join([key, *(each for each in parts if each != "...")])
    value, known = _walk(raw, kind, parts)
    if match := _UNKNOWN.fullmatch(text):
        return ConfigError(file, f"{here}.{match[1]}", unknown(match[1], sorted(_fields(known, value))))
    if match := _MISSING.fullmatch(text):
        choices = _choices(known, match[1])
        expected = f"expected one of: {', '.join(choices)}" if choices else "it has no default"
        return ConfigError(file, f"{here}.{match[1]}", f"missing; {expected}")
    if choices := _choices(known, parts[-1] if parts else ""):
        return ConfigError(file, here, f"found {shown(value)}, {one_of(value, choices)}")
    if match := _EXPECTED.fullmatch(text):
        expected = " or ".join(_WORDS.get(each, each) for each in match[1].split(" | ")) + match[3]
        found = (
            f"one value is {_WORDS.get(match[2], match[2])}" if "..." in parts else f"found {shown(value)}"
        )
        return ConfigError(file, here, f"{found}, expected {expected}")
    # A struct's own words, which may begin with the field that they are about.
    field, _, rest = _PASSWORD.sub("***@", text).partition(": ")
    if rest and field.split(".")[0] in _fields(known, value):
        return ConfigError(file, f"{here}.{field}", rest)
    return ConfigError(file, here, _PASSWORD.sub("***@", text))


def _walk(raw: Any, kind: Any, parts: Sequence[str]) -> tuple[Any, inspect.Type]:
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
            known = known.item_type if isinstance(known, inspect.ListType) else inspect.AnyType()
    return value, known


def _choices(known: inspect.Type, part: str) -> list[str]:
    """The words that may stand here: of a `Literal`, or the kinds of a union of structs."""
    types = known.types if isinstance(known, inspect.UnionType) else (known,)
    words = [str(word) for each in types if isinstance(each, inspect.LiteralType) for word in each.values]
    kinds = [
        str(each.tag) for each in types if isinstance(each, inspect.StructType) and each.tag_field == part
    ]
    return [each for each in words + kinds if each]


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
