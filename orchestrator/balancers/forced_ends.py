"""WebSockets that HAProxy was told to end, which from 3.0 on look like errors of the backend. Pure.

A WebSocket is one response 101 in the row of its server when it begins, and one in the row of the backend
when it ends. One that ends by `shutdown session`, which `on_remaining_sessions` may lead to, is a 5xx in the
row of the backend instead: 20 of 20 on 3.0 and 3.2, none on 2.2 and 2.6. No client got a 5xx.
"""

from collections.abc import Collection

from backends.model import RequestCounters


def count_forced_ends(
    servers_then: Collection[RequestCounters],
    servers_now: Collection[RequestCounters],
    then: RequestCounters,
    now: RequestCounters,
    *,
    unanswered: int,
) -> int:
    """Return how many WebSockets of a backend have begun and neither ended by themselves nor are open.

    What is open is not known exactly where there are other requests in flight: as many may be missing.

    Args:
        servers_then: the rows of all servers at the first moment.
        servers_now: those at the second one.
        then: the row of the backend at the first moment.
        now: that at the second one.
        unanswered: requests that had no response in between.
    """
    begun_then, begun_now = (sum(row.informational for row in rows) for rows in (servers_then, servers_now))
    if not begun_now:
        return 0
    open_then = min(then.in_flight, max(0, begun_then - then.informational))
    open_now = min(now.in_flight, max(0, begun_now - now.informational))
    missing = begun_now - begun_then + open_then - open_now - (now.informational - then.informational)
    return max(0, missing - _count_hints(servers_then, servers_now, unanswered))


def _count_hints(
    servers_then: Collection[RequestCounters], servers_now: Collection[RequestCounters], unanswered: int
) -> int:
    """Return how many responses were informational ones before another one, such as 103, at most."""
    responses_then, responses_now = (
        sum(row.answered + row.informational for row in rows) for rows in (servers_then, servers_now)
    )
    requests_then, requests_now = (
        sum(row.total - row.redispatches - row.retries for row in rows)
        for rows in (servers_then, servers_now)
    )
    return max(0, responses_now - responses_then - (requests_now - requests_then) + unanswered)
