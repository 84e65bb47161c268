"""Rows of `show stat` and `show servers state`, joined into servers and backends.

`show stat` mixes the administrative and the operational state, and hides addresses below level operator.
`show servers state` separates the two, but has neither health nor sessions. So both are needed.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from backends.errors import UnreadableReply
from backends.haproxy.parse import BACKEND_ROW, MAX_TEXT_CHARS, SERVER_ROW, Row, parse_number
from backends.haproxy.slots import build_line, find_empty_among
from backends.model import Admin, Backend, Load, Operational, RequestCounters, Server, ServerRef
from backends.text import shorten

_CONFIGURED, _ENABLED = 2, 4  # CHK_ST_* bits of srv_check_state and srv_agent_state
_LAST_PORT = 65535
_CHECK_RUNS = _CONFIGURED | _ENABLED
RESPONSES = ("hrsp_1xx", "hrsp_2xx", "hrsp_3xx", "hrsp_4xx", "hrsp_5xx", "hrsp_other")
FAILURES = ("econ", "eresp", "wretr", "wredis")
ENDINGS = ("req_tot", "cli_abrt", "srv_abrt")
LOADS = ("rate", "rate_max", "smax", "slim")
SINCE_3_2 = "ssl_ocsp_staple"  # a column that 3.2 has, and 3.0 has not


def join(
    instance: str, stat: Sequence[Row], state: Iterable[Row]
) -> tuple[tuple[Backend, ...], tuple[Server, ...]]:
    """Join both replies by (proxy id, server id): names may repeat.

    Raises:
        UnreadableReply: they do not list the same servers, as when one was added in between.
    """
    backends = tuple(build_backend(instance, row) for row in stat if row["type"] == BACKEND_ROW)
    rows = {(row["iid"], row["sid"]): row for row in stat if row["type"] == SERVER_ROW}
    proxy_ids = {row["iid"] for row in stat}
    # A backend that `show stat` does not show is HAProxy's own: 2.2 has one called MASTER.
    states = {(row["be_id"], row["srv_id"]): row for row in state if row["be_id"] in proxy_ids}
    if rows.keys() != states.keys():
        odd = rows.keys() ^ states.keys()
        names = [rows[key]["svname"] if key in rows else states[key]["srv_name"] for key in odd]
        problem = f"the list of servers changed while it was read: {', '.join(sorted(names))}"
        raise UnreadableReply(instance, problem)
    return backends, servers_of(instance, [(row, states[key]) for key, row in rows.items()])


def servers_of(instance: str, rows: Sequence[tuple[Row, Row]]) -> tuple[Server, ...]:
    """Build all servers of one load balancer, each from its rows of both replies.

    Raises:
        UnreadableReply: a field is not the number it should be.
    """
    servers = [build_server(instance, row, state) for row, state in rows]
    empty = find_empty_among([build_line(row["iid"], state) for row, state in rows])
    for at in empty:
        servers[at] = replace(servers[at], empty_slot=True)
    return tuple(servers)


def build_backend(instance: str, row: Row) -> Backend:
    """Build a backend from its own row of `show stat`.

    Raises:
        UnreadableReply: a field is not the number it should be.
    """
    name = row["pxname"]
    try:
        found = read_counters(row)
        queue = parse_number(row["qcur"] or "0")
        response_time = parse_number(row["rtime"]) if found.total and row["rtime"] else None
    except ValueError as error:
        raise UnreadableReply(instance, f"the row of backend {name}: {error}") from None
    found = found._replace(doubtful_aborts=row[SINCE_3_2] != "")
    mode, algorithm, cookie = (_shorten(row[field]) for field in ("mode", "algo", "cookie"))
    return Backend(name, mode, algorithm, cookie, found, queue, response_time)


def read_counters(row: Row) -> RequestCounters:
    """Read the counters of any row. Raises ValueError for a field that is no number."""
    names = ("scur", "stot", *FAILURES, *RESPONSES, *ENDINGS)
    http, has_total = row["hrsp_5xx"] != "", row["req_tot"] != ""
    return build_counters([parse_number(row[name] or "0") for name in names], http=http, has_total=has_total)


def build_counters(numbers: Sequence[int], *, http: bool, has_total: bool) -> RequestCounters:
    """Build the counters from the cells of one row.

    Args:
        numbers: scur, stot, FAILURES, RESPONSES and ENDINGS, in this order; 0 for a cell that is empty,
            which is one that does not apply.
        http: whether there are counters of responses, which no row has in TCP mode.
        has_total: whether there is a req_tot.
    """
    in_flight, total, refused, broken, retries, redispatches, *by_class = numbers
    *by_class, answered, client_aborts, server_aborts = by_class
    informational = by_class[0]
    return RequestCounters(
        total,
        (answered if has_total else sum(by_class)) - informational,
        informational,
        by_class[4],
        refused,
        broken,
        retries,
        redispatches,
        client_aborts,
        server_aborts,
        in_flight,
        http,
    )


def build_server(instance: str, row: Row, state: Row) -> Server:
    """Build a server from its row of `show stat` and its row of `show servers state`.

    Raises:
        UnreadableReply: a field is not the number it should be.
    """
    try:
        return _build_server(instance, row, state)
    except ValueError as error:
        name = f"{row['pxname']}/{row['svname']}"
        raise UnreadableReply(instance, f"the row of {name}: {error}") from None


def _build_server(instance: str, row: Row, state: Row) -> Server:
    admin = parse_number(state["srv_admin_state"])
    if admin < 0:
        raise ValueError(f"srv_admin_state {admin} is not a bit field")
    agent_state = parse_number(state["srv_agent_state"])
    total = parse_number(row["stot"] or "0")  # an empty field of the CSV is one that does not apply
    return Server(
        ref=ServerRef(instance, row["pxname"], row["svname"]),
        address=_read_optional_text(state["srv_addr"]),
        port=_read_port(state["srv_port"]),
        admin=Admin(admin),
        operational=Operational(parse_number(state["srv_op_state"])),
        status=_shorten(row["status"]),
        weight=parse_number(state["srv_uweight"]),
        initial_weight=parse_number(state["srv_iweight"]),
        effective_weight=parse_number(row["weight"]),
        has_checks=parse_number(state["srv_check_state"]) & _CHECK_RUNS == _CHECK_RUNS,
        check_status=_shorten(row["check_status"].removeprefix("* ")),  # the mark of a check under way
        check_health=parse_number(row["check_health"] or "0"),
        check_rise=parse_number(row["check_rise"] or "0"),
        check_fall=parse_number(row["check_fall"] or "0"),
        check_code=_shorten(row["check_code"]),
        check_duration=parse_number(row["check_duration"]) if row["check_duration"] else None,
        check_failures=parse_number(row["chkfail"] or "0"),
        last_check=_shorten(row["last_chk"] or row["check_desc"]),
        agent=agent_state & _CHECK_RUNS == _CHECK_RUNS,
        agent_configured=bool(agent_state & _CONFIGURED),
        agent_status=_shorten(row["agent_status"].removeprefix("* ")),
        last_agent=_shorten(row["last_agt"]),
        track_target=_shorten(row["tracked"]),
        backup=row["bck"] not in ("", "0"),
        cookie=_shorten(row["cookie"]),
        sessions=parse_number(row["scur"]),
        queue=parse_number(row["qcur"]),
        throttle=parse_number(row["throttle"]) if row["throttle"] else None,
        last_change=parse_number(row["lastchg"] or "0"),
        counters=read_counters(row),
        response_time=parse_number(row["rtime"]) if total and row["rtime"] else None,
        host_name=_read_optional_text(state["srv_fqdn"]),
        srv_record=_read_optional_text(state["srvrecord"]),
        load=_read_load(row),
    )


def _read_load(row: Row) -> Load:
    rate, rate_max, sessions_max = (parse_number(row[name] or "0") for name in LOADS[:-1])
    return Load(rate, rate_max, sessions_max, parse_number(row["slim"]) if row["slim"] else None)


def _read_port(text: str) -> int:
    """Read a port; 0 for none, and for an offset, which HAProxy adds to the client's port each time."""
    port = parse_number(text)  # -1280 is written as 4294966016
    return port if 0 <= port <= _LAST_PORT else 0


def _read_optional_text(text: str) -> str:
    """Read a text of `show servers state`, which writes a dash for nothing."""
    return "" if text == "-" else _shorten(text)


def _shorten(text: str) -> str:
    return shorten(text, MAX_TEXT_CHARS)
