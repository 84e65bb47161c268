"""Every reply that is read from HAProxy, or from an impostor."""

from typing import Any

from hypothesis import example
from hypothesis import strategies as st

from backends.haproxy import parse
from backends.haproxy.fast_parse import fast_join
from backends.haproxy.join import join
from backends.haproxy.session_list import parse_session_list
from backends.haproxy.sessions import is_complete, parse_sessions
from backends.haproxy.transport import WriteReply, read_complete, write_complete
from backends.model import ServerRef
from tests.fuzz.harness import bounded, fuzzed
from tests.fuzz.texts import anything, digits, grown, lines_of, mostly, word

WEB1 = ServerRef("lb1", "shop", "web1")
STATES = ("be_id", "be_name", "srv_id", "srv_name", "srv_addr", "srv_op_state", "srv_admin_state")
STATE_HEADER = (*STATES, *(name for name in parse.STATE_FIELDS if name not in STATES), "srv_fqdn")
STAT_HEADER = (*parse.STAT_FIELDS, "qmax", "")

name = st.sampled_from(["web1", "web2", "shop", "BACKEND", "FRONTEND"])
status = st.sampled_from(["UP", "UP 1/3", "DRAIN", "MAINT (via a/b)", "no check", "DOWN (agent)", ""])
_CELLS: dict[str, Any] = {
    "pxname": name,
    "svname": name,
    "status": status,
    "type": st.sampled_from(["1", "2", "2", "2", "0"]),
    "mode": st.sampled_from(["http", "tcp"]),
    "srv_addr": st.sampled_from(["127.0.0.1", "-", "::1"]),
    "be_name": name,
    "srv_name": name,
    "srv_op_state": st.sampled_from(["0", "1", "2", "3", "9"]),
}


def row(header: tuple[str, ...], separator: str) -> st.SearchStrategy[str]:
    """One row: mostly what belongs there, sometimes one odd field, sometimes one too many."""
    few = st.integers(0, 3).map(str)
    usual = st.tuples(*(_CELLS.get(column, few) for column in header)).map(list)

    def change(cells: list[str], place: int, odd: str, more: bool) -> str:
        if 0 <= place < len(cells):
            cells = [*cells[:place], odd, *cells[place + 1 :]]
        return separator.join([*cells, *([odd] if more else [])])

    places = st.integers(-2 * len(header), len(header) - 1)
    return st.builds(
        change, usual, places, st.one_of(digits, word), st.integers(0, 9).map(lambda one: not one)
    )


stat = st.builds(
    lambda head, rows: f"{head}\n{rows}",
    mostly(st.just(f"# {','.join(STAT_HEADER)}"), word.map("# pxname,{}".format)),
    lines_of(row(STAT_HEADER, ",")),
)
state = st.builds(
    lambda head, rows: f"1\n{head}\n{rows}",
    mostly(st.just(f"# {' '.join(STATE_HEADER)}"), word.map("# {}".format)),
    lines_of(row(STATE_HEADER, " ")),
)


@fuzzed(
    text=st.one_of(
        anything,
        lines_of(
            st.builds("{}: {}".format, st.sampled_from(["Version", "Pid", "Uptime_sec", "Stopping"]), word)
        ),
    )
)
def test_show_info(text: str) -> None:
    bounded(lambda: parse.parse_info("lb1", text), len(text))
    bounded(lambda: parse.parse_level("lb1", text), len(text))


@fuzzed(text=anything, count=st.integers(0, 4))
def test_where_replies_end(text: str, count: int) -> None:
    sent = text.encode(errors="replace")
    bounded(lambda: parse.split_replies("lb1", text, count), len(text))
    bounded(lambda: read_complete(sent, count), len(text))
    bounded(lambda: write_complete(sent, count), len(text))
    bounded(lambda: is_complete(sent), len(text))
    bounded(lambda: WriteReply.parse(text).words, len(text))


@fuzzed(stat=stat, state=state)
def test_both_tables_by_both_ways(stat: str, state: str) -> None:
    """The quick way says what the slow one says, or leaves it to that."""
    size = len(stat) + len(state)

    def slow() -> Any:
        return join("lb1", parse.parse_stat("lb1", stat), parse.parse_servers_state("lb1", state))

    read = bounded(slow, size)
    fast = bounded(lambda: fast_join("lb1", [stat], [state]), size)
    if fast is not None and size < 10_000:
        assert read is not None
        assert (fast[0], tuple(fast[1])) == read


@fuzzed(
    text=grown(
        st.builds(
            "{}: proto=tcpv4 src={} fe={} be=shop srv=web1 ts=00 age={} scf=[8,482h,rex={},wex={}]{}".format,
            *(st.sampled_from(["0x55a3", "0x0"]), word, word),
            *(
                mostly(st.sampled_from(["3s", "1d4h", "2m5s", "?"]), digits.map("{}s".format))
                for _ in range(3)
            ),
            st.sampled_from(["\n", "\n", "\n\n", ""]),
        )
    ),
    limit=st.integers(0, 50),
)
@example(text=f"0x1: proto=tcpv4 src=a fe=b be=shop srv=web1 age={'9' * 5_000}s", limit=1)
def test_show_sess(text: str, limit: int) -> None:
    bounded(lambda: parse_sessions(WEB1, text, limit), len(text))
    bounded(lambda: parse_sessions(WEB1, f"{text}\n\n", limit), len(text))
    bounded(lambda: parse_session_list("lb1", f"{text}\n\n", {("shop", "web1")}), len(text))
