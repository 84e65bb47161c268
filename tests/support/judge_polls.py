"""Polls of servers with known errors, and what a judge makes of them."""

from collections.abc import Sequence

from orchestrator.canary.judge import Judge
from orchestrator.canary.judgement import Judgement
from orchestrator.canary.poll import Cell, Lifetime, Poll, Stratum
from orchestrator.canary.settings import CanarySettings

LIFETIMES = [Lifetime("lb1", "shop", f"web{number}", 144_000, 144, 3600) for number in range(1, 4)]
"""One of a thousand requests failed."""


def make_poll(at: float, *servers: tuple[int, int | None], new: int = 1, duration_s: float = 1.0) -> Poll:
    """Return a poll of web1, web2, …, the first ones of which run the new version: requests and errors."""
    cells = [
        Cell(f"web{number}", f"web{number}", "new" if number <= new else "old", *server)
        for number, server in enumerate(servers, 1)
    ]
    return Poll("lb1", at, duration_s, [Stratum("shop", cells)])


def judge_polls(
    polls: Sequence[Poll], *, lifetimes: Sequence[Lifetime] = LIFETIMES, canary: CanarySettings | None = None
) -> Judgement:
    """Return the judgement on version 1.5.0 after these polls."""
    judge = Judge(canary or CanarySettings(), lifetimes, version="1.5.0")
    for poll in polls:
        judge.add(poll)
    return judge.judge(polls[-1].at if polls else 0.0)


def make_seconds(count: int, *servers: tuple[int, int | None], new: int = 1, start: int = 0) -> list[Poll]:
    """Return so many polls, one a second, that are alike; the first one ends a second after `start`."""
    return [make_poll(start + second + 1, *servers, new=new) for second in range(count)]
