"""The configuration file, found and read."""

import os
import shlex
from pathlib import Path

import msgspec

from backends.errors import ConfigError
from backends.file_trust import Untrusted, Writers, open_trusted
from backends.inventories.toml import parse_toml
from console.config.schema import Config, parse
from console.paths import find_config

MAX_FILE_BYTES = 4 * 1024 * 1024  # bytes; some 20,000 nodes


def find_and_load(explicit: str | None) -> Config:
    """The configuration that `--config` names, or else that of ./config.toml or the XDG configuration folder.

    Raises:
        ConfigError: there is none, others may have written one that nobody named, or see `load`.
    """
    return load(Path(explicit)) if explicit else load(find_config(), named=False)


def load(path: Path, *, named: bool = True) -> Config:
    """Read and check a configuration file; not yet its inventories, see `FileSource`.

    Args:
        path: of the file.
        named: somebody chose this file. It can have any command run, so one that was only found there is
            refused when others than root and we may write it, or a folder on the way to it.

    Raises:
        ConfigError: with the file, the key, what was found and what was expected.
    """
    file = str(path)
    text, writers = _read(path, file, named)
    try:
        return msgspec.structs.replace(parse(parse_toml(text, file), file), writers=writers)
    except RecursionError:
        raise ConfigError(
            file, "", "is not a configuration: its tables or lists are nested too deep"
        ) from None


def _read(path: Path, file: str, named: bool) -> tuple[str, Writers]:
    """The text, and who may write it."""
    own = Writers.own()
    try:
        with path.open("rb") if named else open(open_trusted(path, own), "rb") as stream:
            writers = Writers.also_of(os.fstat(stream.fileno())) if named else own
            content = stream.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            raise ConfigError(file, "", f"is not a configuration: it is longer than {MAX_FILE_BYTES} bytes")
        return content.decode(), writers
    except Untrusted as error:
        raise ConfigError(file, "", _untrusted(file, error)) from None
    except OSError as error:
        raise ConfigError(file, "", f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(file, "", "is not UTF-8 text") from None


def _untrusted(file: str, error: Untrusted) -> str:
    by_sudo = os.geteuid() == 0 and "SUDO_UID" in os.environ
    sudo = "; under sudo only root's own files count" if by_sudo else ""
    return (
        f"is not used: {error.strerror}{sudo}. A configuration can have any command run;"
        f" if this one is meant: --config {shlex.quote(file)}"
    )
