"""Rows of `show stat` and `show servers state`, joined into servers and backends.

`show stat` mixes what somebody decided with how the server is, and hides addresses below level
operator; `show servers state` has them apart, but neither health nor sessions. Both are needed.
"""

from collections.abc import Iterable, Sequence

from backends.errors import Unmeasured
from backends.haproxy.parse import BACKEND_ROW, SERVER_ROW, Row, number
from backends.model import Admin, Backend, Operational, Server, ServerRef

_CHECK_RUNS = 2 | 4  # CHK_ST_CONFIGURED and CHK_ST_ENABLED of srv_check_state and srv_agent_state


def join(
    instance: str, stat: Sequence[Row], state: Iterable[Row]
) -> tuple[tuple[Backend, ...], tuple[Server, ...]]:
    """Join both replies by (proxy id, server id): names may repeat.

    Raises:
        Unmeasured: they do not speak of the same servers, as when one was added in between.
    """
    backends = tuple(backend(row) for row in stat if row["type"] == BACKEND_ROW)
    rows = {(row["iid"], row["sid"]): row for row in stat if row["type"] == SERVER_ROW}
    shown = {row["iid"] for row in stat}
    # A backend that `show stat` does not show is HAProxy's own: 2.2 has one called MASTER.
    states = {(row["be_id"], row["srv_id"]): row for row in state if row["be_id"] in shown}
    if rows.keys() != states.keys():
        odd = rows.keys() ^ states.keys()
        names = [rows[key]["svname"] if key in rows else states[key]["srv_name"] for key in odd]
        problem = f"the list of servers changed while it was read: {', '.join(sorted(names))}"
        raise Unmeasured(instance, problem)
    return backends, tuple(server(instance, row, states[key]) for key, row in rows.items())


def backend(row: Row) -> Backend:
    """Build a backend from its own row of `show stat`."""
    return Backend(row["pxname"], row["mode"], row["algo"], row["cookie"])


def server(instance: str, row: Row, state: Row) -> Server:
    """Build a server from its row of `show stat` and its row of `show servers state`."""

    def count(name: str, of: Row = row) -> int:
        return number(instance, name, of[name])

    admin = count("srv_admin_state", state)
    if admin < 0:
        raise Unmeasured(instance, f"srv_admin_state {admin} is not a bit field")
    try:
        operational = Operational(count("srv_op_state", state))
    except ValueError as error:
        raise Unmeasured(instance, f"srv_op_state: {error}") from None
    check_state, agent_state = count("srv_check_state", state), count("srv_agent_state", state)
    total = count("stot")
    return Server(
        ref=ServerRef(instance, row["pxname"], row["svname"]),
        address="" if state["srv_addr"] == "-" else state["srv_addr"],
        port=count("srv_port", state),
        admin=Admin(admin),
        operational=operational,
        status=row["status"],
        weight=count("srv_uweight", state),
        initial_weight=count("srv_iweight", state),
        effective_weight=count("weight"),
        checked=check_state & _CHECK_RUNS == _CHECK_RUNS,
        check_status=row["check_status"].removeprefix("* "),  # the mark of a check under way
        check_health=count("check_health"),
        check_rise=count("check_rise"),
        check_fall=count("check_fall"),
        last_check=row["last_chk"] or row["check_desc"],
        agent=agent_state & _CHECK_RUNS == _CHECK_RUNS,
        agent_configured=bool(agent_state & 2),
        tracks=row["tracked"],
        backup=count("bck") != 0,
        cookie=row["cookie"],
        sessions=count("scur"),
        queue=count("qcur"),
        throttle=count("throttle") if row["throttle"] else None,
        last_change=count("lastchg"),
        requests=sum(count(f"hrsp_{digit}xx") for digit in "12345"),
        errors_5xx=count("hrsp_5xx"),
        total_sessions=total,
        response_time=count("rtime") if total and row["rtime"] else None,
    )
