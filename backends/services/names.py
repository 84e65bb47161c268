"""A service's name, from the configuration to one argument of a command."""

import re
from collections.abc import Mapping

from backends.errors import ConfigError
from backends.template import fill_plain

_ONE_ARGUMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:@\\-]*")
_WITH_BLANKS = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:@\\ -]*(?<! )")


def service_name(template: str, values: Mapping[str, str], *, blanks: bool = False) -> str:
    """Fill `{node}` and the like into a service's name, for hosts that run several.

    Args:
        template: the name in the configuration.
        values: what it may name.
        blanks: the service manager has names of several words.

    Raises:
        ConfigError: what comes out could be taken for an option, or has other characters.
    """
    name = fill_plain(template, values)
    if not (_WITH_BLANKS if blanks else _ONE_ARGUMENT).fullmatch(name):
        more = " and blanks within" if blanks else ""
        raise ConfigError(
            "",
            "service.name",
            f"{name[:128]!r} cannot be used: expected letters, digits and . _ : @ \\ -{more},"
            " beginning with a letter, a digit or _",
        )
    return name
