"""Whether a version can be had on a node, as its installer finds it before anything is touched."""

import enum
from collections.abc import Iterable
from dataclasses import dataclass

from backends.errors import ConfigError
from backends.templates import check_version

MAX_OTHER_VERSIONS = 20  # versions that are kept of what a node lists


class Presence(enum.StrEnum):
    """The three answers. Only the second one is a reason to refuse."""

    THERE = "there"
    NOT_THERE = "not_there"
    NOT_KNOWN = "not_known"


@dataclass(frozen=True, slots=True)
class Availability:
    """What was found.

    Attributes:
        presence: the answer.
        detail: where the version was looked for, or why the answer is not known; without the node's name.
        others: versions that are there instead, the newest first.
        lacking: it is not known only because a prefetch will look again: what the node has fetched of its
            repositories lists other versions, and not this one.
        any_version: the answer is the same for every version, as none was looked for.
    """

    presence: Presence
    detail: str = ""
    others: tuple[str, ...] = ()
    lacking: bool = False
    any_version: bool = False


THERE = Availability(Presence.THERE)


def only_versions(texts: Iterable[str]) -> tuple[str, ...]:
    """Those of the texts that can be versions, each once: what a node lists is foreign text."""
    found: dict[str, None] = {}
    for text in texts:
        if len(found) == MAX_OTHER_VERSIONS:
            break
        try:
            found[check_version(text)] = None
        except ConfigError:
            continue
    return tuple(found)
