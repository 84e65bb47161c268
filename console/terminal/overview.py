"""Many applications with one line each, for `rolldeck status`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from backends.errors import BackendError
from console.terminal.output import GLYPHS, paint, table
from console.terminal.server_table import Answers, snapshots_of
from orchestrator.events.ways_back import format_since
from orchestrator.fleet.rollout_line import line_of_status, name_some
from orchestrator.fleet.row import count_versions
from orchestrator.fleet.text import version_texts
from orchestrator.journal.entry_status import RolloutStatus, at_work
from orchestrator.session.status import ApplicationStatus

HEADER = ("", "APP", "IN", "VERSIONS", "SESS", "Q", "STATE")


@dataclass(frozen=True, slots=True)
class Overview:
    """One application in one line.

    Attributes:
        app: its name.
        answers: of its load balancers; empty if they are not known.
        status: the rest; None if it could not be read.
        problem: why something is not known, in words; empty if all is.
    """

    app: str
    answers: Answers
    status: ApplicationStatus | None
    problem: str = ""

    @property
    def unreachable(self) -> list[str]:
        """The load balancers that did not answer."""
        return [name for name, answer in self.answers.items() if isinstance(answer, BackendError)]

    @property
    def servers(self) -> Mapping[tuple[str, str], bool]:
        """Whether each server is in rotation on every load balancer that answered."""
        snapshots = snapshots_of(self.answers)
        found: dict[tuple[str, str], list[bool]] = {}
        for snapshot in snapshots:
            for server in snapshot.servers:
                key = (server.ref.backend, server.ref.server)
                found.setdefault(key, []).append(server.in_rotation)
        return {key: all(states) and len(states) == len(snapshots) for key, states in found.items()}

    @property
    def healthy(self) -> bool:
        """Whether everything is known and in rotation, and no rollout was left unfinished."""
        known = bool(self.answers) and not self.unreachable and not self.problem
        return known and all(self.servers.values()) and not (self.status and self.status.unfinished)


def overview_lines(overviews: Sequence[Overview]) -> list[str]:
    """Return the table: applications that need attention first."""
    ordered = sorted(overviews, key=_attention)  # and otherwise as in the configuration
    lines = table(HEADER, [_row(overview) for overview in ordered], right=("IN", "SESS", "Q"))
    colored = [
        paint(line, _KINDS[_attention(overview)]) for line, overview in zip(lines[1:], ordered, strict=True)
    ]
    return [lines[0], *colored]


_KINDS = ("bad", "warn", "working", "info")
_GLYPHS = (GLYPHS["bad"], GLYPHS["warn"], GLYPHS["working"], " ")


def _attention(overview: Overview) -> int:
    """Return how much it needs an operator: 0 something is not known, 3 not at all."""
    if overview.problem or overview.unreachable or not overview.answers:
        return 0
    running = _running(overview.status)
    if running is not None:
        return 1 if running.questions else 2
    return 3 if overview.healthy else 1


def _row(overview: Overview) -> tuple[str, ...]:
    servers, attention = overview.servers, _attention(overview)
    snapshots = snapshots_of(overview.answers)
    lines = [server for snapshot in snapshots for server in snapshot.servers]
    versions = overview.status.versions if overview.status is not None else ()
    counts = count_versions(None, {version.node: version.version for version in versions})
    return (
        _GLYPHS[attention],
        overview.app,
        f"{sum(servers.values())}/{len(servers)}" if snapshots else "?",
        "  ".join(version_texts(counts)) or "?",
        str(sum(server.sessions for server in lines)) if snapshots else "?",
        str(sum(server.queue for server in lines)) if snapshots else "?",
        "; ".join(_state(overview)),
    )


def _state(overview: Overview) -> list[str]:
    found = [overview.problem] if overview.problem else []
    if overview.unreachable:
        found.append(f"{', '.join(overview.unreachable)} unreachable")
    status, running = overview.status, _running(overview.status)
    if running is not None:
        found.append(_running_text(running))
    if status is None:
        return found
    found += [
        f"unfinished: {rollout.kind} to {rollout.version}{format_since(rollout.since)}"
        for rollout in status.rollouts
        if rollout.standing == "unfinished" and rollout.touched
    ]
    if status.holder is not None:
        found.append(f"locked by {status.holder.operator}: {status.holder.what}")
    out = [server for (_, server), is_in in overview.servers.items() if not is_in]
    if out and running is None:
        found.append(f"out: {name_some(list(dict.fromkeys(out)))}")
    return found


def _running(status: ApplicationStatus | None) -> RolloutStatus | None:
    rollouts = status.rollouts if status is not None else ()
    return next((rollout for rollout in rollouts if rollout.standing == "running"), None)


def _running_text(rollout: RolloutStatus) -> str:
    title = line_of_status(rollout).progress
    if rollout.questions:
        what = f"waits for an answer: {rollout.questions[0].subject}"
    elif rollout.phase != "progressing":
        what = rollout.phase
    else:
        what = ", ".join(f"{node.node} {node.state}" for node in at_work(rollout))
    return " · ".join(filter(None, (title, what, rollout.operator)))
