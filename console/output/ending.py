"""How a rollout ended, and what is out of rotation with the commands that put it back."""

from collections.abc import Iterator

from console.exits import Exit
from console.output.progress import seconds
from console.output.text import clean, paint
from orchestrator.events import OutOfRotation, RolloutEnded

EXITS = {"healthy": Exit.HEALTHY, "degraded": Exit.DEGRADED, "aborted": Exit.ABORTED}
KINDS = {"healthy": "ok", "degraded": "bad", "aborted": "warn"}


def ending(ended: RolloutEnded) -> Iterator[str]:
    """Lines for standard output."""
    reason = why(ended.result, ended.reason)
    yield f"{paint(ended.result, KINDS[ended.result])}{reason} · {seconds(ended.seconds)}"
    for title in ("upgraded", "failed", "skipped", "interrupted", "untouched"):
        names: list[str] = getattr(ended, title)
        if names:
            yield f"  {title:<12}{clean(', '.join(names))}"
    for each in ended.out_of_rotation:
        on_purpose = " (as it was before)" if each.on_purpose else ""
        yield f"{paint('out of rotation', 'out')}: {clean(each.node)}{on_purpose}"
        for place in each.where:
            yield f"  {clean(place)}"
        yield from _ways_back(each)
    for text in ended.unseen:
        yield f"{paint('not known', 'bad')}: {clean(text)}"


def _ways_back(out: OutOfRotation) -> Iterator[str]:
    ours = [each for each in out.commands if each.startswith("rolldeck ")]
    raw = [each for each in out.commands if each not in ours]
    for command in ours:
        yield f"  to put it back as it is now:  {clean(command)}"
    if out.go_back:
        yield f"  to bring back what it had:    {clean(out.go_back)}"
    if raw:
        proof = any("health down" in each for each in raw)
        wait = "; before ready, wait until it reads DRAIN with full health" if proof else ""
        yield f"  by hand, in this order{wait}:"
    for command in raw:
        yield f"    on {clean(command)}"


def why(outcome: str, reason: str) -> str:
    """What follows the word for the outcome, cleaned."""
    if reason.startswith(outcome):  # "aborted by ..." says it already
        return clean(reason.removeprefix(outcome))
    return f": {clean(reason)}" if reason else ""
