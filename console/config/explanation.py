"""Explanation of msgspec's errors: the key, the value that was found, and the values that are allowed."""

import datetime
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from msgspec import inspect

from backends.consul.catalog import ConsulService
from backends.consul.settings import ConsulSettings
from backends.health.checks import HealthKind
from backends.hosts.ssh_settings import SshSettings
from backends.text import one_of
from console.debug_log import LogSettings
from orchestrator.inventory.source import NodeSettings
from orchestrator.planning.application import Policy
from orchestrator.settings import Access, ApplicationSettings, HookSettings, JournalSettings, LockSettings

Path = tuple[str, ...]
"""Keys from a table down to a value, and numbers for the items of lists."""

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


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem in a table.

    Attributes:
        path: of the value that is wrong.
        text: what was found, and what was expected.
        broken: path of the value that has to change before the next problem can be found.
        own: one of our structs has refused values that have the right types.
    """

    path: Path
    text: str
    broken: Path
    own: bool = False


def explain(error: str, raw: Any, kind: Any) -> Problem:
    """Explain a `msgspec.ValidationError` of decoding `raw` into `kind`."""
    match = _AT.fullmatch(error)
    text, path = (match[1], match[2]) if match else (error, "$")
    parts = [name or index for name, index in _PART.findall(path)]
    here = tuple(part for part in parts if part != "...")
    value, known = walk(raw, kind, parts)
    if match := _UNKNOWN.fullmatch(text):
        there = (*here, match[1])
        text = _describe_renamed_key(known, value, match[1]) or describe_unknown_key(
            match[1], sorted(_field_names(known, value))
        )
        return Problem(there, text, there)
    if match := _MISSING.fullmatch(text):
        choices = _choices(known, match[1])
        expected = f"expected one of: {', '.join(choices)}" if choices else "it has no default"
        # Without its kind, the fields of a table are unknown.
        there = (*here, match[1])
        return Problem(there, f"missing; {expected}", here if _is_tag(known, match[1]) else there)
    if choices := _choices(known, parts[-1] if parts else ""):
        broken = here[:-1] if here and _is_tag(known, here[-1]) else here
        return Problem(here, f"found {format_value(value)}, {one_of(value, choices)}", broken)
    if match := _EXPECTED.fullmatch(text):
        expected = " or ".join(_WORDS.get(word, word) for word in match[1].split(" | ")) + match[3]
        found = (
            f"one value is {_WORDS.get(match[2], match[2])}"
            if "..." in parts
            else f"found {format_value(value)}"
        )
        return Problem(here, f"{found}, expected {expected}", here)
    # The text of a struct of ours, which may begin with the field that it is about.
    field, _, rest = _PASSWORD.sub("***@", text).partition(": ")
    if rest and field.split(".")[0] in _field_names(known, value):
        inner = field.split(".")
        return Problem((*here, *inner), rest, (*here, inner[0]), own=True)
    return Problem(here, _PASSWORD.sub("***@", text), here, own=True)


def describe_unknown_key(name: str, known: Sequence[str]) -> str:
    """Return the error text for an unknown key."""
    return f"unknown key; {one_of(name, known)}"


def _describe_renamed_key(known: inspect.Type, value: Any, name: str) -> str:
    """Return the error text for a key that had this name before; empty for any other."""
    names = [new for struct in matching_structs(known, value) if (new := find_new_name(struct.cls, name))]
    return f"unknown key; it was renamed to {names[0]}" if names else ""


def format_value(value: Any) -> str:
    """Format a value for an error text, without secrets."""
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


def walk(raw: Any, kind: Any, parts: Sequence[str]) -> tuple[Any, inspect.Type]:
    """Return the value at this path, and the type that it should have."""
    value, known = raw, inspect.type_info(kind)
    for part in parts:
        known = _find_type(known, value, part)
        if isinstance(value, dict):
            value = value.get(part)
        elif isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
    return value, known


def _find_type(known: inspect.Type, value: Any, part: str) -> inspect.Type:
    """Return the type of one field or item of a value that should have the type `known`."""
    for struct in matching_structs(known, value):
        found = [field.type for field in struct.fields if field.encode_name == part]
        known = found[0] if found else inspect.AnyType()
    if isinstance(value, list):
        lists = [one for one in _alternatives(known) if isinstance(one, inspect.ListType)]
        return lists[0].item_type if lists else inspect.AnyType()
    return known


def strip_metadata(known: inspect.Type) -> inspect.Type:
    """Return the type itself, without the constraints of its annotation."""
    return known.type if isinstance(known, inspect.Metadata) else known


def _alternatives(known: inspect.Type) -> tuple[inspect.Type, ...]:
    known = strip_metadata(known)
    return tuple(map(strip_metadata, known.types)) if isinstance(known, inspect.UnionType) else (known,)


def _choices(known: inspect.Type, part: str) -> list[str]:
    """Return the words that are allowed here: of a `Literal`, or the kinds of a union of structs."""
    types = _alternatives(known)
    words = [str(word) for one in types if isinstance(one, inspect.LiteralType) for word in one.values]
    kinds = [str(one.tag) for one in types if isinstance(one, inspect.StructType) and one.tag_field == part]
    return [word for word in words + kinds if word]


def _is_tag(known: inspect.Type, part: str) -> bool:
    return any(isinstance(one, inspect.StructType) and one.tag_field == part for one in _alternatives(known))


def _field_names(known: inspect.Type, value: Any) -> set[str]:
    names = {field.encode_name for struct in matching_structs(known, value) for field in struct.fields}
    tags = {struct.tag_field for struct in matching_structs(known, value) if struct.tag_field}
    return names | tags


def matching_structs(known: inspect.Type, value: Any) -> Iterator[inspect.StructType]:
    """Yield the structs that a value can be; in a union, its `kind` decides."""
    for one in _alternatives(known):
        if isinstance(one, inspect.StructType) and (
            one.tag_field is None or not isinstance(value, dict) or value.get(one.tag_field) == one.tag
        ):
            yield one


RENAMED_KEYS: Mapping[type, Mapping[str, str]] = {
    Access: {"via": "transport", "port_via": "port_check_from"},
    ApplicationSettings: {"places": "load_balancers", "unmanaged_backends": "ignored_backends"},
    ConsulService: {
        "gate": "require_consul_checks",
        "when_changed": 'on_change, with "confirm" for "ask" and "notify" for "tell"',
    },
    ConsulSettings: {
        "versions": "version_key",
        "when_down": 'on_unavailable, with "continue" for "go_on"',
    },
    HealthKind: {"via": "check_from", "version_part": "version_regex"},
    HookSettings: {"on": "events"},
    JournalSettings: {"keep_days": "retention_days"},
    LockSettings: {"delay": "lock_delay"},
    LogSettings: {"keep": "backup_count"},
    NodeSettings: {"via": "transport"},
    Policy: {
        "bake": "bake_time",
        "balancer_timeout": "balancer_unreachable_timeout",
        "gate": 'require_haproxy_checks, with true for "checks" and false for "none"',
        "sessions_left": "on_remaining_sessions",
        "settle_timeout": "maint_grace_period",
    },
    SshSettings: {"connects_at_once": "max_concurrent_logins"},
}


def find_new_name(table: type, key: str) -> str:
    """Return the new name of a key, and perhaps of its values; empty for a key that never existed.

    Args:
        table: the struct that the table in the file is decoded into.
        key: the unknown key in it.
    """
    return next((RENAMED_KEYS[kind][key] for kind in table.__mro__ if key in RENAMED_KEYS.get(kind, {})), "")
