"""How a rollout ended, and what is out of rotation with the commands that put it back."""

from collections.abc import Iterator

from console.exits import Exit
from console.output.progress import seconds
from console.output.text import clean, paint
from orchestrator.events import RolloutEnded

EXITS = {"healthy": Exit.HEALTHY, "degraded": Exit.DEGRADED, "aborted": Exit.ABORTED}
KINDS = {"healthy": "ok", "degraded": "bad", "aborted": "warn"}


def ending(ended: RolloutEnded) -> Iterator[str]:
    """Lines for standard output."""
    yield f"{paint(ended.result, KINDS[ended.result])}{_why(ended)} · {seconds(ended.seconds)}"
    for title in ("upgraded", "failed", "skipped", "interrupted", "untouched"):
        names: list[str] = getattr(ended, title)
        if names:
            yield f"  {title:<12}{', '.join(names)}"
    for each in ended.out_of_rotation:
        on_purpose = " (as it was before)" if each.on_purpose else ""
        yield f"{paint('out of rotation', 'out')}: {each.node}{on_purpose}"
        for place in each.where:
            yield f"  {clean(place)}"
        if each.commands:
            first, *raw = each.commands
            yield f"  to put it back as it is now:  {clean(first)}"
            if each.go_back:
                yield f"  to bring back what it had:    {clean(each.go_back)}"
            for command in raw:
                yield f"  by hand, on {clean(command)}"
    for text in ended.unseen:
        yield f"{paint('not known', 'bad')}: {clean(text)}"


def _why(ended: RolloutEnded) -> str:
    if ended.reason.startswith(ended.result):  # "aborted by ..." says it already
        return clean(ended.reason.removeprefix(ended.result))
    return f": {clean(ended.reason)}" if ended.reason else ""
