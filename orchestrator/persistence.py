"""What persistence does to a drain: clients that stay with their server although it is on its way out.

Measured on HAProxy 2.2 to 3.2: a cookie, a stick table and `use-server` lead to a draining server, and away
from one in maintenance; with `option persist` or `force-persist` they lead to that one too.
"""

from collections.abc import Iterator

from backends.errors import BackendError
from backends.model import Backend, Persistence, Snapshot
from orchestrator.facts import Facts
from orchestrator.plan import Finding, Severity
from orchestrator.policy import Policy


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
    by = [each for each in persistence.by if not (backend.cookie and each.startswith("cookie"))]
    named = " and ".join([*([_cookie(backend)] if backend.cookie else []), *(f"{each}" for each in by)])
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
