"""Settings of adapters: their key `kind`, and templates, with names in braces that are filled in.

Templates are commands, addresses and paths by the operator.
`{app} {node} {address} {port} {version} {service}` are replaced, and whatever else the caller has
a value for. Other braces are left alone, so that awk programs, `${HOME}`, `${node}` and Go
templates (`{{.State}}`) pass unharmed.

In a command each value is quoted for the shell (`fill`). Quoting cannot help where the operator has
put quotes around a name (`'{node}'`): quotes inside quotes end them. So every value that goes into
a command also has to be inert, which is checked when it enters: versions by `check_version`, names
by `check_value`, hosts and users by `check_host`. Inert values need no quotes and get none, which
makes `{version}`, `"{version}"` and `'{version}'` mean the same.
"""

import functools
import re
import shlex
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import quote

import msgspec

from backends import untrusted
from backends.errors import ConfigError
from backends.text import closest


class TaggedSettings(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True, tag_field="kind"):
    """Base of the settings of one kind."""


NAMES = frozenset({"app", "node", "address", "port", "version", "service"})
"""Names that always mean a value: without one they are an error, not text to be left alone."""

PLACEHOLDER = re.compile(r"(?<![${])\{([a-z_]+)\}(?!\})")
VERSION_PATTERN = "[A-Za-z0-9][A-Za-z0-9._+:~-]{0,127}"
_VERSION = re.compile(VERSION_PATTERN)
_VALUE = re.compile(r"[A-Za-z0-9_.:%@][A-Za-z0-9_.:%@+=,~-]{0,254}")
_INERT = re.compile(r"[A-Za-z0-9_.:%@+=,/-][A-Za-z0-9_.:%@+=,/~-]*")
_MAX_COMMAND_CHARS = 4_096  # shlex takes four times as long for a word twice as long
_TILDE_EXPANDS = re.compile(r"[:=]~")  # in an assignment: V=1:~root


def fill(template: str, values: Mapping[str, str]) -> str:
    """Fill a shell command; each value becomes one word of it.

    Raises:
        ConfigError: the template names something that has no value here.
    """
    return _replace(template, values, lambda value, _: _shell_word(value))


def fill_plain(template: str, values: Mapping[str, str]) -> str:
    """Fill text that no shell reads: a path or a single argument.

    Raises:
        ConfigError: the template names something that has no value here.
    """
    return _replace(template, values, lambda value, _: value)


def fill_url(template: str, values: Mapping[str, str]) -> str:
    """Fill a URL; values are percent-encoded, an IPv6 address gets brackets as a host.

    Raises:
        ConfigError: the template names something that has no value here.
    """
    return _replace(template, values, _url_part)


def check_version(version: str) -> str:
    """Return the version if it is fit for commands, paths, tags and package names.

    Raises:
        ConfigError: it has other characters, could be taken for an option, or is too long.
    """
    if _VERSION.fullmatch(version) and not _TILDE_EXPANDS.search(version):
        return version
    raise ConfigError(
        "",
        "version",
        f"{version[:128]!r} is not a version: expected at most 128 of A-Z a-z 0-9 . _ + : ~ -, "
        "beginning with a letter or digit",
    )


def check_value(what: str, value: str) -> str:
    """Return a name if it is inert in commands; `what` names it in the error.

    Raises:
        ConfigError: it is empty, too long, could be an option, or a shell might read it.
    """
    if _VALUE.fullmatch(value) and not _TILDE_EXPANDS.search(value):
        return value
    raise ConfigError(
        "",
        what,
        f"{value[:128]!r} cannot be used: expected letters, digits and . _ : % @ + = , ~ -",
    )


def check_host(what: str, value: str) -> str:
    """Return a host or user if it is inert wherever ssh puts it; `what` names it in the error.

    Raises:
        ConfigError: see `backends.untrusted.check_inert`.
    """
    try:
        return untrusted.check_inert(value)
    except untrusted.NotInert as error:
        raise ConfigError("", what, str(error)) from None


def check_port(what: str, port: int) -> int:
    """Return the number if it is a port; `what` names it in the error. Raises ConfigError."""
    try:
        return untrusted.check_port(port)
    except untrusted.NotInert as error:
        raise ConfigError("", what, str(error)) from None


def check_words(what: str, text: str) -> None:
    """Refuse text that cannot be split into words as a shell would.

    Raises:
        ValueError: an open quote, or far too long; msgspec reports it with the path of the key.
    """
    if len(text) > _MAX_COMMAND_CHARS:
        raise ValueError(f"{what}: found {len(text)} characters, expected at most {_MAX_COMMAND_CHARS}")
    try:
        shlex.split(text)
    except ValueError:
        raise ValueError(f"{what}: found {text[:128]!r}, expected words with closed quotes") from None


def _replace(template: str, values: Mapping[str, str], render: Callable[[str, str], str]) -> str:
    """Replace the names; `render` gets each value and the text before it."""

    def substitute(match: re.Match[str]) -> str:
        name = match[1]
        if name in values:
            return render(values[name], template[: match.start()])
        if name in NAMES:
            raise ConfigError("", "", f"{{{name}}} has no value in {template!r}")
        return match[0]

    return PLACEHOLDER.sub(substitute, template)


def _shell_word(value: str) -> str:
    inert = _INERT.fullmatch(value) and not _TILDE_EXPANDS.search(value)
    return value if inert else shlex.quote(value)


def _url_part(value: str, before: str) -> str:
    if ":" in value and before.endswith(("//", "@")):
        return f"[{value.replace('%', '%25')}]"  # RFC 3986 and, for the zone, RFC 6874
    return quote(value, safe="") if not before.endswith("[") else value.replace("%", "%25")


@dataclass(frozen=True, slots=True)
class Placeholders:
    """The names that one template may have.

    Attributes:
        names: the names that are filled in.
        in_shell: a shell reads it, and other braces are its own.
    """

    names: frozenset[str]
    in_shell: bool = False


_HERE = frozenset({"app", "node", "address", "port"})
_NODE = _HERE | {"service"}
_INSTALL = _NODE | {"version"}


def _describe_names(names: frozenset[str], *, in_shell: bool = False) -> msgspec.Meta:
    return msgspec.Meta(extra={"placeholders": Placeholders(names, in_shell)})


ServiceName = Annotated[str, _describe_names(_HERE)]
NodeText = Annotated[str, _describe_names(_NODE)]
NodeShell = Annotated[str, _describe_names(_NODE, in_shell=True)]
LogShell = Annotated[str, _describe_names(_NODE | {"lines"}, in_shell=True)]
InstallText = Annotated[str, _describe_names(_INSTALL)]
InstallShell = Annotated[str, _describe_names(_INSTALL, in_shell=True)]
InstallTable = Annotated[dict[str, Any], _describe_names(_INSTALL, in_shell=True)]
CreateShell = Annotated[str, _describe_names(_INSTALL | {"name", "image"}, in_shell=True)]
NoText = Annotated[str, _describe_names(frozenset(), in_shell=True)]
"""Text that is no template, though it is where one could be expected: a prefix, options."""

HostText = Annotated[str, _describe_names(frozenset({"host"}))]
AppKey = Annotated[str, _describe_names(frozenset({"app"}))]
NodeKey = Annotated[str, _describe_names(frozenset({"app", "node"}))]

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
    """Yield the keys of templates that name what nobody fills in, with what is wrong, in words.

    Args:
        settings: a struct of the configuration; those within it are checked too.
        key: its path in the configuration, such as ``apps.shop``.
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
        for path, text in texts.items():
            problem = wrong_placeholder(text, allowed[field]) if isinstance(text, str) else ""
            if problem:
                yield path, problem


def wrong_placeholder(template: str, allowed: Placeholders) -> str:
    """Return what is wrong with the first name that is not filled in; empty when all are."""
    if allowed.in_shell:
        for match in _SHELL_NAME.finditer(template):
            name = match[1]
            if name not in allowed.names and (name in NAMES or _guess_name(name, NAMES | allowed.names)):
                return _describe_problem(match[0], name, allowed)
        return ""
    rest = PLACEHOLDER.sub(lambda match: "" if match[1] in allowed.names else match[0], template)
    unfilled = _BRACES.search(rest)
    return _describe_problem(unfilled[0], unfilled[0].strip("${} "), allowed) if unfilled else ""


@functools.cache
def _templates(kind: type[msgspec.Struct]) -> dict[str, Placeholders]:
    """Return the fields of a struct that are templates."""
    found = {}
    for field, hint in typing.get_type_hints(kind, include_extras=True).items():
        for part in (hint, *typing.get_args(hint)):  # of "a text or nothing", too
            for meta in getattr(part, "__metadata__", ()):
                if isinstance(meta, msgspec.Meta) and meta.extra and "placeholders" in meta.extra:
                    found[field] = meta.extra["placeholders"]
    return found


def _describe_problem(found: str, name: str, allowed: Placeholders) -> str:
    meant = _guess_name(name, allowed.names)
    why = "which has no value here" if name in NAMES and found == f"{{{name}}}" else "which is not defined"
    hint = f"did you mean {{{meant}}}? " if meant else ""
    names = ", ".join(f"{{{known}}}" for known in sorted(allowed.names))
    return f"found {found}, {why}; {hint}expected {f'one of: {names}' if names else 'a text without names'}"


def _guess_name(name: str, names: frozenset[str]) -> str:
    """Return the name that was probably meant; empty when none is close."""
    lower = name.lower()
    if lower not in names and _MEANT.get(lower) in names:
        return _MEANT[lower]
    return closest(lower, names)
