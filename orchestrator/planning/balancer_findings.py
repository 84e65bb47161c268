"""Findings about a load balancer alone: whether it takes commands, and what persistence does to a drain."""

from collections.abc import Iterator

from backends.errors import BackendError
from backends.model import NEEDS_ADMIN, Backend, Level, Persistence, Snapshot
from orchestrator.balancers.group import Facts
from orchestrator.planning.plan import Finding, Severity
from orchestrator.planning.policy import Policy


def why_unchangeable(level: Level, read_only: str) -> str:
    """Why nothing can be changed through it, and what would make that possible; empty where it can.

    Args:
        level: of the socket.
        read_only: see `Snapshot.read_only`.
    """
    if read_only:
        return (
            f"is {read_only}, which can only be read: states are changed by HAProxy's Runtime API (`socket`"
            " instead of `stats_url`, with `level admin` at its `stats socket` in haproxy.cfg)"
        )
    if level is not Level.ADMIN:
        return f"the socket has level {level.name.lower()}; {NEEDS_ADMIN}"
    return ""


def judge_level(snapshot: Snapshot) -> list[Finding]:
    """An error where states cannot be changed."""
    why = why_unchangeable(snapshot.level, snapshot.read_only)
    return [Finding(Severity.ERROR, snapshot.info.instance, why)] if why else []


def judge_persistence(snapshot: Snapshot, facts: Facts, policy: Policy) -> Iterator[Finding]:
    """Warn where clients stay with their server.

    Args:
        snapshot: has the name of each backend's cookie, from level operator on.
        facts: of the configuration file, or why it could not be looked at.
        policy: of the rollout.
    """
    for backend in snapshot.backends:
        where = f"{backend.name} on {snapshot.info.instance}"
        if isinstance(facts, BackendError):
            text = _unknown(backend, facts.problem, policy)
        elif facts.persistence is None:
            text = _unknown(backend, facts.unseen, policy)
        else:
            text = _known(backend, facts.persistence.get(backend.name), policy)
        if text:
            yield Finding(Severity.WARNING, where, text)


def _unknown(backend: Backend, why: str, policy: Policy) -> str:
    if not backend.cookie:
        return ""
    return (
        f"{_cookie(backend)}: {_draining(policy)}, then maintenance moves them, unless `option persist` or"
        f" `force-persist` is set, which is unknown: {why}"
    )


def _known(backend: Backend, persistence: Persistence | None, policy: Policy) -> str:
    if persistence is None:
        # The socket knows of a cookie that the file has not: the file has changed since it was read.
        return _unknown(backend, "the configuration file does not have this cookie", policy)
    by = [kind for kind in persistence.by if not (backend.cookie and kind.startswith("cookie"))]
    named = " and ".join([*([_cookie(backend)] if backend.cookie else []), *by])
    what = named if by == [] else f"persistence by {named}"
    if not persistence.in_maintenance:
        return f"{what}: {_draining(policy)}, then maintenance moves them"
    which = "" if persistence.in_maintenance == "option persist" else " that it matches"
    return (
        f"{what} with `{persistence.in_maintenance}`: its clients{which} reach a node in maintenance too, so"
        " their requests fail while it is stopped, and come to the new version before it is proven;"
        f" take `{persistence.in_maintenance}` out of HAProxy's configuration first"
    )


def _cookie(backend: Backend) -> str:
    return f'cookie persistence ("{backend.cookie}")'


def _draining(policy: Policy) -> str:
    return f"its clients reach a draining node until drain_timeout ({policy.drain_timeout:g} s)"
