"""`ansible-inventory --list` as the reader of an inventory, which supports scripts, plugins and the vault.

Its output contains every variable of every host, including decrypted ones: it is never logged or shown.
"""

import asyncio
import json
import os
import re
import shutil
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from backends.inventories.ansible.groups import Groups
from backends.inventories.files import Encrypted, UnsafeText
from backends.local_machine import operator_environment, own_session
from backends.secrets import redact
from backends.text import shorten

PROGRAM = "ansible-inventory"
_MOST_OUTPUT = 256 * 1024 * 1024  # bytes; some 20,000 hosts with 10 KB of variables each
_MOST_MESSAGES = 64 * 1024  # bytes
_MOST_WORDS = 600  # characters of its messages in an error
_MOST_WARNINGS = 5
_PIECE = 64 * 1024  # bytes

_SETTINGS = {
    "ANSIBLE_NOCOLOR": "1",
    "ANSIBLE_FORCE_COLOR": "0",
    "ANSIBLE_VERBOSITY": "0",
    "ANSIBLE_DEBUG": "0",
    "ANSIBLE_LOG_PATH": os.devnull,  # the whole listing would be written there
    "ANSIBLE_INVENTORY_EXPORT": "0",  # with the variables of groups in those of their hosts
    "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "1",  # else one that cannot be read is an empty one
    "ANSIBLE_INVENTORY_UNPARSED_FAILED": "1",
}
_STATIC_ALONE = {"ANSIBLE_INVENTORY_ENABLED": "yaml,ini"}  # neither `script` nor `auto`, which run code

_MESSAGE = re.compile(r"^[ \t]*(?:\[([A-Z ]+)\]:|(ERROR)!)[ \t]*", re.MULTILINE)
# Behind these, Ansible shows lines of the file, which may contain passwords.
_QUOTATION = re.compile(r"The offending line appears to be|Origin: ")


@dataclass(frozen=True, slots=True)
class Request:
    """One call of `ansible-inventory`.

    Attributes:
        program: its path.
        inventory: the file that it is to read.
        configuration: an `ansible.cfg` that would not be found otherwise; None for what Ansible finds itself.
        may_run_code: the inventory may be a program or settings of a plugin; else only a static one is read.
    """

    program: str
    inventory: Path
    configuration: Path | None
    may_run_code: bool


@dataclass(frozen=True, slots=True)
class AnsibleListing:
    """What `ansible-inventory` listed.

    Attributes:
        groups: with their hosts and children; their variables are in those of the hosts.
        variables: those of each host that has any, merged.
        warnings: its own words.
    """

    groups: Groups
    variables: Mapping[str, Mapping[str, Any]]
    warnings: tuple[str, ...]


class ListingFailed(Exception):
    """`ansible-inventory` could not read an inventory; the text says why, in its own words if there are any.

    Attributes:
        exit_status: that of the program; 0 when it could not be started, or has printed no listing.
    """

    def __init__(self, problem: str, *, exit_status: int = 0) -> None:
        super().__init__(problem)
        self.exit_status = exit_status


def find_program(configured: str) -> str:
    """Return the path of `ansible-inventory`, or an empty text where it is not installed.

    Args:
        configured: a name or path in the place of `ansible-inventory`; may begin with `~`.
    """
    found = shutil.which(os.path.expanduser(configured or PROGRAM))
    return os.path.abspath(found) if found else ""


async def list_inventory(request: Request, timeout_s: float) -> AnsibleListing:
    """Run `ansible-inventory --list`, and end it with all that it has started when it takes too long.

    Raises:
        ListingFailed: it cannot be started, fails, or prints what is no listing.
        TimeoutError: it has not ended in time.
        ConfigError: groups contain each other.
    """
    argv = (request.program, f"--inventory={request.inventory}", "--list")
    # Ansible takes group_vars and ansible.cfg of its working folder, even those of others; here are none.
    options: dict[str, Any] = {"cwd": "/", "env": _environment(request), "stdin": DEVNULL}
    try:
        async with (
            asyncio.timeout(timeout_s),
            own_session(*argv, stdout=PIPE, stderr=PIPE, **options) as process,
        ):
            assert process.stdout is not None and process.stderr is not None  # noqa: S101, PT018 - for mypy
            reads = (
                asyncio.ensure_future(_read_all(process.stdout, _MOST_OUTPUT)),
                asyncio.ensure_future(_read_all(process.stderr, _MOST_MESSAGES)),
            )
            try:
                output, messages = await asyncio.gather(*reads)
                await process.wait()
            finally:
                for read in reads:
                    read.cancel()
    except OSError as error:
        if isinstance(error, TimeoutError):
            raise
        raise ListingFailed(f"{request.program} cannot be started: {error.strerror}") from None
    text = messages.decode(errors="replace")
    if process.returncode:
        raise ListingFailed(_describe_failure(text, process.returncode), exit_status=process.returncode)
    return await asyncio.to_thread(decode_listing, output, text, str(request.inventory))


def _environment(request: Request) -> dict[str, str]:
    environment = operator_environment() | _SETTINGS
    if request.configuration is not None:
        environment["ANSIBLE_CONFIG"] = str(request.configuration)
    return environment if request.may_run_code else environment | _STATIC_ALONE


async def _read_all(stream: asyncio.StreamReader, most: int) -> bytes:
    """Read a stream to its end; what is longer than `most` by more than a piece is left out."""
    content = bytearray()
    while piece := await stream.read(_PIECE):
        if len(content) <= most:
            content += piece
    return bytes(content)


class _JsonGroup(msgspec.Struct):
    hosts: list[str] = []
    children: list[str] = []


class _JsonMeta(msgspec.Struct):
    hostvars: dict[str, dict[str, Any]] = {}


def decode_listing(output: bytes, messages: str, file: str) -> AnsibleListing:
    """Decode what `ansible-inventory --list` has printed.

    Args:
        output: the listing.
        messages: its standard error.
        file: the inventory, for errors.

    Raises:
        ListingFailed: it is no listing.
        ConfigError: groups contain each other.
    """
    if len(output) > _MOST_OUTPUT:
        raise ListingFailed(f"it has printed more than {_MOST_OUTPUT:,} bytes")
    try:
        # Not by msgspec: Python's own encoder, which Ansible uses, writes Infinity and endless numbers.
        document = json.loads(output)
        meta = msgspec.convert(document.pop("_meta", {}), _JsonMeta)
        content = msgspec.convert(document, dict[str, _JsonGroup])
    except (ValueError, AttributeError, TypeError, RecursionError):
        raise ListingFailed("it has not printed the JSON of an inventory") from None
    groups = Groups(file)
    for name, group in content.items():
        for child in (name, *group.children):
            groups.add_group(child)
        groups.add_names(group.hosts, name)
    for name, group in content.items():
        for child in group.children:
            groups.add_child(name, child)
    return AnsibleListing(groups.finish(), meta.hostvars, _find_warnings(messages))


def decode_value(value: Any) -> Any:
    """Return a value of a variable with the marks of Ansible's JSON as types of ours."""
    match value:
        case {"__ansible_vault": _}:
            return Encrypted()
        case {"__ansible_unsafe": str(text)}:
            return UnsafeText(text)
        case list():
            return [decode_value(item) for item in value]
    return value


def _describe_failure(text: str, status: int) -> str:
    messages = [words for kind, words in _split_messages(text) if words and "DEPRECATION" not in kind]
    return shorten("; ".join(dict.fromkeys(messages)), _MOST_WORDS) or f"exit status {status}, without a word"


def _find_warnings(text: str) -> tuple[str, ...]:
    found = [words for kind, words in _split_messages(text) if words and kind in ("WARNING", "ERROR")]
    warnings = list(dict.fromkeys(shorten(words, _MOST_WORDS) for words in found))
    more = len(warnings) - _MOST_WARNINGS
    return (*warnings[:_MOST_WARNINGS], *((f"and {more} more warnings",) if more > 0 else ()))


def _split_messages(text: str) -> list[tuple[str, str]]:
    """Return each message's kind, such as WARNING, and its words on one line; for people only."""
    marks = list(_MESSAGE.finditer(text))
    ends = [*(mark.start() for mark in marks[1:]), len(text)]
    messages = [("", text[: marks[0].start()] if marks else text)]
    messages += [(mark[1] or mark[2], text[mark.end() : end]) for mark, end in zip(marks, ends, strict=False)]
    return [(kind, _shorten_message(words)) for kind, words in messages]


def _shorten_message(words: str) -> str:
    return redact(" ".join(_QUOTATION.split(words)[0].split())).removeprefix("* ")
