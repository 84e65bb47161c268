"""What adapters tell their recorder, sorted."""

from backends.model import Began, Exchange, Intent
from backends.protocols import Recorder


def exchanges(seen: list[Exchange], announced: list[Intent] | None = None) -> Recorder:
    """A recorder that keeps commands with their replies and, if that is asked for, what was announced."""

    def record(said: Intent | Began | Exchange) -> None:
        if isinstance(said, Exchange):
            seen.append(said)
        elif isinstance(said, Intent) and announced is not None:
            announced.append(said)

    return record
