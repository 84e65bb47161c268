"""Commands, addresses and paths by the operator, with names in braces that are filled in.

`{app} {node} {address} {port} {version} {service}` are replaced, and whatever else the caller has
a value for. Other braces are left alone, so that awk programs, `${HOME}`, `${node}` and Go
templates (`{{.State}}`) pass unharmed.

In a command each value is quoted for the shell (`fill`). Quoting cannot help where the operator has
put quotes around a name (`'{node}'`): quotes inside quotes end them. So every value that goes into
a command also has to be inert, which is checked when it enters: versions by `check_version`, names
by `check_value`, hosts and users by `check_host`. Inert values need no quotes and get none, which
makes `{version}`, `"{version}"` and `'{version}'` mean the same.
"""

import re
import shlex
from collections.abc import Callable, Mapping
from urllib.parse import quote

from backends import inert
from backends.errors import ConfigError

NAMES = frozenset({"app", "node", "address", "port", "version", "service"})
"""Names that always mean a value: without one they are an error, not text to be left alone."""

PLACEHOLDER = re.compile(r"(?<![${])\{([a-z_]+)\}(?!\})")
VERSION_PATTERN = "[A-Za-z0-9][A-Za-z0-9._+:~-]{0,127}"
_VERSION = re.compile(VERSION_PATTERN)
_VALUE = re.compile(r"[A-Za-z0-9_.:%@][A-Za-z0-9_.:%@+=,~-]{0,254}")
_INERT = re.compile(r"[A-Za-z0-9_.:%@+=,/-][A-Za-z0-9_.:%@+=,/~-]*")
_LONGEST_WORDS = 4_096  # characters; shlex takes four times as long for a word twice as long
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
    """Fill a URL; values are percent-encoded, an IPv6 address gets brackets where a host stands.

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
        ConfigError: see `backends.inert.check_inert`.
    """
    try:
        return inert.check_inert(value)
    except inert.NotInert as error:
        raise ConfigError("", what, str(error)) from None


def check_port(what: str, port: int) -> int:
    """Return the number if it is a port; `what` names it in the error. Raises ConfigError."""
    try:
        return inert.check_port(port)
    except inert.NotInert as error:
        raise ConfigError("", what, str(error)) from None


def check_words(what: str, text: str) -> None:
    """Refuse text that cannot be split into words as a shell would.

    Raises:
        ValueError: an open quote, or far too long; msgspec reports it with the path of the key.
    """
    if len(text) > _LONGEST_WORDS:
        raise ValueError(f"{what}: found {len(text)} characters, expected at most {_LONGEST_WORDS}")
    try:
        shlex.split(text)
    except ValueError:
        raise ValueError(f"{what}: found {text[:128]!r}, expected words with closed quotes") from None


def _replace(template: str, values: Mapping[str, str], render: Callable[[str, str], str]) -> str:
    """`render` gets each value and the text before it."""

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
