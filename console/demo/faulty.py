"""The demo's faulty versions: what an operator may try an upgrade to, and what is wrong with each."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from console.demo.node import QUICK_S


@dataclass(frozen=True, slots=True)
class FaultyVersion:
    """A release that every node of the demo has on disk.

    Attributes:
        version: its name; what is wrong with it is in it.
        words: what is wrong, for the help.
        fields: of `console.demo.node.Release`.
        shown_by_next: the upgrade to it is healthy; the one after it meets the fault.
    """

    version: str
    words: str
    fields: Mapping[str, object] = field(default_factory=dict)
    shown_by_next: bool = False


FAULTY = (
    FaultyVersion("1.6.0-unhealthy", "fails its health check", {"healthy": False}),
    FaultyVersion("1.6.0-crash", "dies under traffic, at its tenth request", {"exit_at_request": 10}),
    FaultyVersion("1.6.0-errors", "answers 20 % of all requests with 500", {"error_every": 5}),
    FaultyVersion("1.6.0-slow", "answers 60 times slower", {"answer_s": 60 * QUICK_S}),
    FaultyVersion("1.6.0-wrong-version", "reports version 1.5.0", {"reports_version": "1.5.0"}),
    FaultyVersion("1.6.0-hanging-stop", "never stops", {"ignore_sigterm": True}, shown_by_next=True),
)


def described() -> str:
    """One line each, for a help text."""
    width = max(len(faulty.version) for faulty in FAULTY)
    return "\n".join(f"  {faulty.version:<{width}}  {faulty.words}" for faulty in FAULTY)
