"""The matrix as a page of the documentation: every case with what was measured."""

import subprocess
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from tests.faults.cases import CASES
from tests.faults.kills import Kills
from tests.faults.managers import COLUMNS
from tests.faults.matrix import Outcome

_HEAD = """\
# Faults

Written by `make faults` on {date}, with {haproxy} and {sshd}; every row is one upgrade of three nodes
behind two load balancers, under {rate} requests a second, with the fault struck in the given step of the
first node. HAProxy, sshd and the nodes' processes are real. HAProxy has `retries 0` and no `redispatch`, so
that nothing is forgiven.

A case is as promised when all of this holds:

- it ends as the table says, and says why;
- no request fails, unless the last list says why some must;
- what the end and `rolldeck status` say of every server is what HAProxy says;
- a node named upgraded runs the new version, one named untouched the old one;
- after the recovery every node is in rotation on every load balancer, with the right version.

`killed` is an end without any word; the nodes that are out then are named by `rolldeck status`.
`refused` is an end before the first step: no node was touched.

The nodes' services are started and stopped by commands; the last columns are the same cases with services of
a real service manager, and say where the end is another one. They are empty where a fault has nothing to
do with it.
"""


def page(outcomes: Sequence[Outcome], kills: Kills | None, rate: int) -> str:
    """Markdown."""
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
        "Ends",
        "Failed",
        "Served",
        "Out until then",
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
    yield f"{good} of {len(outcomes)} as promised."


def _promised(outcome: Outcome) -> str:
    return "no: " + "; ".join(outcome.problems).replace("|", "/") if outcome.problems else "yes"


def _with(outcome: Outcome | None, by_commands: Outcome) -> str:
    """What is otherwise with another service manager."""
    if outcome is None:
        return ""
    ended = "" if outcome.ended == by_commands.ended else f", {outcome.ended}"
    failed = f", {outcome.failed} failed" if outcome.failed else ""
    return f"{_promised(outcome)}{ended}{failed}"


def _losses(outcomes: Sequence[Outcome]) -> Iterator[str]:
    played = {outcome.fault for outcome in outcomes}
    yield "Where requests may fail:"
    yield ""
    for fault in CASES:
        if fault.loses and fault.name in played:
            lost = [outcome.failed for outcome in outcomes if outcome.fault == fault.name]
            yield f"- {fault.name}: {fault.loses}; seen {min(lost)} to {max(lost)}."


def _kills(kills: Kills | None) -> Iterator[str]:
    if kills is None:
        return
    yield ""
    yield "## SIGKILL at random moments"
    yield ""
    places = ", ".join(f"{number} in {place}" for place, number in kills.places.items())
    yield (
        f"{kills.runs} upgrades were killed (seeds from {kills.seed} on), {places}; each was finished by"
        f" `rolldeck resume`. {kills.failed} requests failed, {kills.left} nodes were left out of rotation, "
        f"{kills.runs - kills.bad} of {kills.runs} as promised."
    )


def _first_line(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return (done.stdout or done.stderr).splitlines()[0]
