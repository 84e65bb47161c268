"""The end of a rollout in words, the same wherever it is shown."""

from collections.abc import Mapping
from datetime import UTC, datetime

from orchestrator.events import OutOfRotation

PURPOSES = {"resume": "to finish it:", "rollback": "to go back:"}


def mixed_versions(versions: Mapping[str, str]) -> str:
    """`1.4.2 on web2, web3; 1.5.0 on web1`; empty when all have the same one."""
    nodes: dict[str, list[str]] = {}
    for name, version in versions.items():
        nodes.setdefault(version, []).append(name)
    if len(nodes) < 2:
        return ""
    return "; ".join(f"{version} on {', '.join(names)}" for version, names in sorted(nodes.items()))


def whose_words(out: OutOfRotation) -> str:
    """Why somebody wants it to be out; empty where nobody does."""
    if out.by_others:
        return f"kept out by {others_words(by_agent=out.by_agent)}{since_words(out.since)}, untouched"
    return "as it was before" if out.intentional else ""


def others_words(*, by_agent: bool) -> str:
    """Who it was when it was not us. HAProxy does not tell an operator from an agent check."""
    return "somebody else, or its agent check," if by_agent else "somebody else"


def since_words(at: float) -> str:
    """` since 14:05:12`, with the day where that is not today; empty for 0."""
    if not at:
        return ""
    try:
        then, now = (datetime.fromtimestamp(moment, UTC).astimezone() for moment in (at, _now()))
    except (OverflowError, ValueError, OSError):  # a moment that nobody can have written
        return ""
    day = "" if then.date() == now.date() else "%Y-%m-%d "
    return then.strftime(f" since {day}%H:%M:%S")


def _now() -> float:
    return datetime.now(UTC).timestamp()
