"""The page of the documentation that shows every case of the matrix with its measurements."""

import subprocess
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from tests.faults.cases import CASES
from tests.faults.kills import Kills
from tests.faults.managers import COLUMNS
from tests.faults.matrix import Outcome

_HEAD = """\
# Faults

Written by `make faults` on {date}, with {haproxy} and {sshd}. Each row is one upgrade of three nodes
behind two load balancers, under {rate} requests per second; the fault is injected in the given step of the
first node. HAProxy, sshd and the nodes' processes are real. HAProxy has `retries 0` and no `redispatch`, so
that it hides no failed request.

A case ends as promised if all of this holds:

- The rollout ends as expected, and gives the reason.
- No request fails, except in the cases that the last list explains.
- The end of the rollout and `rolldeck status` report every server as HAProxy does.
- Every node that is reported as upgraded runs the new version, and every one reported as pending the old one.
- After the recovery, every node is in rotation on every load balancer, with the right version.

`killed` is an end without any output; `rolldeck status` then names the nodes that are out of rotation.
`refused` is an end before the first step, in which no node was changed.

In these cases commands start and stop the services of the nodes. The last columns show the same cases with
real service managers, and their end if it is a different one. A column is empty if a case was not tried with
that service manager.
"""


def page(outcomes: Sequence[Outcome], kills: Kills | None, rate: int) -> str:
    """Return the page as Markdown."""
    head = _HEAD.format(
        date=datetime.now(UTC).date().isoformat(),
        haproxy=" ".join(_first_line("haproxy", "-v").split()[:3]),
        sshd=_first_line("ssh", "-V").split(",")[0],
        rate=rate,
    )
    return "\n".join([head, *_table(outcomes), "", *_losses(outcomes), *_kills(kills)]).rstrip() + "\n"


def _table(outcomes: Sequence[Outcome]) -> Iterator[str]:
    columns = [column for manager, column in COLUMNS.items() if manager != "command"]
    heads = (
        "Fault",
        "Step",
        "End",
        "Failed",
        "Served",
        "Out before recovery",
        "Recovery",
        "As promised",
        *columns,
    )
    yield f"| {' | '.join(heads)} |"
    yield f"|---|---|---|--:|--:|---|---|{'---|' * (len(columns) + 1)}"
    others = {(outcome.fault, outcome.step, outcome.manager): outcome for outcome in outcomes}
    for outcome in outcomes:
        if outcome.manager != "command":
            continue
        cells = (
            outcome.fault,
            outcome.step,
            outcome.ended,
            str(outcome.failed),
            str(outcome.served),
            ", ".join(outcome.out) or "-",
            outcome.recovered,
            _promised(outcome),
            *(
                _with(others.get((outcome.fault, outcome.step, name)), outcome)
                for name in COLUMNS
                if name != "command"
            ),
        )
        yield f"| {' | '.join(cells)} |"
    good = sum(not outcome.problems for outcome in outcomes)
    yield ""
    yield f"{good} of {len(outcomes)} cases ended as promised."


def _promised(outcome: Outcome) -> str:
    return "no: " + "; ".join(outcome.problems).replace("|", "/") if outcome.problems else "yes"


def _with(outcome: Outcome | None, by_commands: Outcome) -> str:
    """Return how a case with another service manager ended, if it was tried."""
    if outcome is None:
        return ""
    ended = "" if outcome.ended == by_commands.ended else f", {outcome.ended}"
    failed = f", {outcome.failed} failed" if outcome.failed else ""
    return f"{_promised(outcome)}{ended}{failed}"


def _losses(outcomes: Sequence[Outcome]) -> Iterator[str]:
    played = {outcome.fault for outcome in outcomes}
    yield "In these cases requests may fail:"
    yield ""
    for fault in CASES:
        if fault.loses and fault.name in played:
            lost = [outcome.failed for outcome in outcomes if outcome.fault == fault.name]
            yield f"- {fault.name}: {fault.loses} ({min(lost)} to {max(lost)} failed)."


def _kills(kills: Kills | None) -> Iterator[str]:
    if kills is None:
        return
    yield ""
    yield "## SIGKILL at random moments"
    yield ""
    places = ", ".join(f"{number} in {place}" for place, number in kills.places.items())
    yield (
        f"{kills.runs} upgrades were killed (with seeds from {kills.seed} on): {places}. `rolldeck resume`"
        f" finished each of them. {kills.failed} requests failed, and {kills.left} nodes were left out of"
        f" rotation; {kills.runs - kills.bad} of {kills.runs} upgrades ended as promised."
    )


def _first_line(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return (done.stdout or done.stderr).splitlines()[0]
