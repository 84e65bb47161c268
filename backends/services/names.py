"""A service's name, from the configuration to one argument of a command."""

import re
from collections.abc import Mapping

from backends.errors import ConfigError
from backends.template import fill_plain

_ONE_ARGUMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:@\\-]*")


def service_name(template: str, values: Mapping[str, str]) -> str:
    """Fill `{node}` and the like into a service's name, for hosts that run several.

    Raises:
        ConfigError: what comes out could be taken for an option, or is no name of a service.
    """
    name = fill_plain(template, values)
    if not _ONE_ARGUMENT.fullmatch(name):
        raise ConfigError("", "service.name", f"{name!r} is not the name of a service")
    return name
