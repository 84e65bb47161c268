"""The text of each figure of an application, the same in the console and on the command line."""

from collections.abc import Sequence

from orchestrator.fleet.rollout_line import name_some
from orchestrator.fleet.row import ApplicationRow

NO_VALUE = "\N{EN DASH}"


def format_availability(row: ApplicationRow) -> str:
    """Return how many of its nodes are in rotation: "3/4"."""
    found = row.availability
    return f"{found.in_rotation}/{found.total}" if found is not None else "?"


def format_versions(row: ApplicationRow) -> str:
    """Return its versions with the numbers of nodes: "2.1.0 ×3  2.2.0 ×1"; `?` where some are unknown."""
    return "  ".join(version_texts(row.version_counts))


def version_texts(counts: Sequence[tuple[str, int]]) -> list[str]:
    """Return each version with its number of nodes: "2.1.0 ×3"."""
    return [f"{version} ×{count}" for version, count in counts]


def format_rate(row: ApplicationRow) -> str:
    """Return its requests per second; a fraction only below ten."""
    rate = row.traffic.rate
    if rate is None:
        return NO_VALUE
    return f"{rate:.1f}" if 0 < rate < 9.95 else f"{rate:,.0f}"


def format_errors(row: ApplicationRow) -> str:
    """Return the percentage of requests that ended in an error; ? where errors are not known."""
    if not row.traffic.errors_known:
        return "?"
    ratio = row.traffic.errors
    if ratio is None:
        return NO_VALUE
    return "100" if ratio >= 0.9995 else f"{ratio * 100:.1f}"


def format_response(row: ApplicationRow) -> str:
    """Return its response time in milliseconds; `~` marks HAProxy's average."""
    response = row.traffic.response
    return NO_VALUE if response is None else f"{'' if response.is_recent else '~'}{response.ms}"


def describe_state(row: ApplicationRow, now: float) -> str:
    """Return what is done to an application, what is wrong with it, or until when it is frozen.

    Args:
        row: of the application.
        now: seconds since 1970.
    """
    found = [row.rollout.text(now)] if row.rollout is not None else []
    if row.problem:
        found.append(row.problem)
    elif row.unexpected:
        found.append(f"down: {name_some(row.unexpected)}")
    if not found and row.availability is not None and row.availability.out:
        found.append(f"out: {name_some(row.availability.out)}")
    if row.frozen is not None and (row.rollout is None or row.rollout.standing == "unfinished"):
        frozen = row.frozen
        found.append(frozen.text(now) if frozen.until is not None else f"frozen: {frozen.reason}")
    return " · ".join(found)
