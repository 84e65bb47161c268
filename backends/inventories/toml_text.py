"""TOML, read without a traceback: of the configuration, and of inventories."""

import re
import tomllib
from typing import Any

from backends.errors import ConfigError

_MOST_PARTS = 100  # of a dotted key; tomllib takes four times as long for twice as many
_PART = r"""(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')"""
_ENDLESS_KEY = re.compile(rf"(?<![\w-]){_PART}(?:[ \t]*+\.[ \t]*+{_PART}){{{_MOST_PARTS}}}")


def parse_toml(text: str, file: str) -> dict[str, Any]:
    """The document.

    Raises:
        ConfigError: it is not TOML; `file` says where it stands.
        RecursionError: its tables or lists are nested too deep.
    """
    if found := _ENDLESS_KEY.search(text):
        line = text.count("\n", 0, found.start()) + 1
        raise ConfigError(
            file, f"line {line}", f"found a key of more than {_MOST_PARTS} parts with dots between"
        )
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(file, "", f"is not TOML: {error}") from None
    except ValueError:  # Python's limit for the digits of a number
        raise ConfigError(file, "", "is not TOML: a number in it has too many digits") from None
