"""Which `{names}` may stand in the templates of a configuration, and what is wrong with those that may not.

A name that nobody fills in would be sent as it stands: `http://{adress}:8080/` is unhealthy for ever. In a
shell command braces mean other things too (`awk '{print}'`), so there only what looks like one of our names
is refused; in a URL, a path or a service's name they mean nothing else.
"""

import functools
import re
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec

from backends.suggestion import closest
from backends.template import NAMES, PLACEHOLDER


@dataclass(frozen=True, slots=True)
class Placeholders:
    """What one template may name.

    Attributes:
        names: that are filled in.
        in_shell: a shell reads it, and other braces are its own.
    """

    names: frozenset[str]
    in_shell: bool = False


_HERE = frozenset({"app", "node", "address", "port"})
_NODE = _HERE | {"service"}
_INSTALL = _NODE | {"version"}


def _meta(names: frozenset[str], *, in_shell: bool = False) -> msgspec.Meta:
    return msgspec.Meta(extra={"placeholders": Placeholders(names, in_shell)})


ServiceName = Annotated[str, _meta(_HERE)]
NodeText = Annotated[str, _meta(_NODE)]
NodeShell = Annotated[str, _meta(_NODE, in_shell=True)]
InstallText = Annotated[str, _meta(_INSTALL)]
InstallShell = Annotated[str, _meta(_INSTALL, in_shell=True)]
InstallTable = Annotated[dict[str, Any], _meta(_INSTALL, in_shell=True)]
CreateShell = Annotated[str, _meta(_INSTALL | {"name", "image"}, in_shell=True)]
NoText = Annotated[str, _meta(frozenset(), in_shell=True)]
"""Text that is no template, though it stands where one could be expected: a prefix, options."""

HostText = Annotated[str, _meta(frozenset({"host"}))]
AppKey = Annotated[str, _meta(frozenset({"app"}))]
NodeKey = Annotated[str, _meta(frozenset({"app", "node"}))]

_SHELL_NAME = re.compile(PLACEHOLDER.pattern, re.ASCII | re.IGNORECASE)
_BRACES = re.compile(r"\$?\{+[^{}]{0,80}\}*|\}")
_MEANT = {
    "application": "app",
    "addr": "address",
    "host": "address",
    "hostname": "address",
    "ip": "address",
    "ver": "version",
    "vers": "version",
    "release": "version",
    "tag": "version",
    "unit": "service",
}


def wrong_placeholders(settings: msgspec.Struct, key: str) -> Iterator[tuple[str, str]]:
    """The keys of templates that name what nobody fills in, with what is wrong, in words.

    Args:
        settings: of the configuration; those in it are looked at too.
        key: their place, such as ``apps.shop``.
    """
    allowed = _templates(type(settings))
    fields = zip(settings.__struct_fields__, settings.__struct_encode_fields__, strict=True)
    for field, name in fields:
        value, here = getattr(settings, field), f"{key}.{name}"
        if field not in allowed:
            if isinstance(value, msgspec.Struct):
                yield from wrong_placeholders(value, here)
            continue
        table = isinstance(value, dict)
        texts = {f"{here}.{item}": text for item, text in value.items()} if table else {here: value}
        for place, text in texts.items():
            problem = wrong_placeholder(text, allowed[field]) if isinstance(text, str) else ""
            if problem:
                yield place, problem


def wrong_placeholder(template: str, allowed: Placeholders) -> str:
    """What is wrong with the first name that is not filled in; empty when all are."""
    if allowed.in_shell:
        for match in _SHELL_NAME.finditer(template):
            name = match[1]
            if name not in allowed.names and (name in NAMES or _meant(name, NAMES | allowed.names)):
                return _words(match[0], name, allowed)
        return ""
    rest = PLACEHOLDER.sub(lambda match: "" if match[1] in allowed.names else match[0], template)
    left = _BRACES.search(rest)
    return _words(left[0], left[0].strip("${} "), allowed) if left else ""


@functools.cache
def _templates(kind: type[msgspec.Struct]) -> dict[str, Placeholders]:
    """The fields of a struct that are templates."""
    found = {}
    for field, hint in typing.get_type_hints(kind, include_extras=True).items():
        for part in (hint, *typing.get_args(hint)):  # of "a text or nothing", too
            for meta in getattr(part, "__metadata__", ()):
                if isinstance(meta, msgspec.Meta) and meta.extra and "placeholders" in meta.extra:
                    found[field] = meta.extra["placeholders"]
    return found


def _words(found: str, name: str, allowed: Placeholders) -> str:
    meant = _meant(name, allowed.names)
    why = "which has no value here" if name in NAMES and found == f"{{{name}}}" else "which nobody fills in"
    hint = f"did you mean {{{meant}}}? " if meant else ""
    names = ", ".join(f"{{{known}}}" for known in sorted(allowed.names))
    return f"found {found}, {why}; {hint}expected {f'one of: {names}' if names else 'a text without names'}"


def _meant(name: str, names: frozenset[str]) -> str:
    """The name that was meant perhaps; empty when none is close."""
    lower = name.lower()
    if lower not in names and _MEANT.get(lower) in names:
        return _MEANT[lower]
    return closest(lower, names)
