"""TOML, read without a traceback: of the configuration, and of inventories."""

import tomllib
from typing import Any

from backends.errors import ConfigError


def parse_toml(text: str, file: str) -> dict[str, Any]:
    """The document.

    Raises:
        ConfigError: it is not TOML; `file` says where it stands.
        RecursionError: its tables or lists are nested too deep.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(file, "", f"is not TOML: {error}") from None
    except ValueError:  # Python's limit for the digits of a number
        raise ConfigError(file, "", "is not TOML: a number in it has too many digits") from None
