"""Parsers of replies: pure functions that never skip anything, but raise UnreadableReply.

Formats: HAProxy's management guide, "show info", "show stat" and "show servers state".
"""

import csv
import io
from collections.abc import Mapping
from operator import itemgetter

from backends.errors import PermissionDenied, Refused, UnreadableReply
from backends.model import Info, Level
from backends.text import shorten

Row = Mapping[str, str]

STAT_NEEDED = ("pxname", "svname", "type", "iid", "sid", "status", "weight", "scur", "qcur")
STAT_FIELDS = (
    *STAT_NEEDED,
    *("act", "bck", "cookie", "mode", "algo", "addr", "uweight", "stot", "rtime"),
    *("rate", "rate_max", "smax", "slim"),
    *("econ", "eresp", "wretr", "wredis", "req_tot", "cli_abrt", "srv_abrt"),
    *("check_status", "check_desc", "last_chk", "check_rise", "check_fall", "check_health"),
    *("check_code", "check_duration", "agent_status", "last_agt", "chkfail", "tracked"),
    *("throttle", "lastchg"),
    *("hrsp_1xx", "hrsp_2xx", "hrsp_3xx", "hrsp_4xx", "hrsp_5xx", "hrsp_other"),
    "ssl_ocsp_staple",
)
STATE_FIELDS = (
    *("be_id", "be_name", "srv_id", "srv_name", "srv_addr", "srv_port", "srv_op_state"),
    *("srv_admin_state", "srv_uweight", "srv_iweight", "srv_check_state", "srv_agent_state"),
    *("srv_fqdn", "srvrecord"),
)

# Values of the column `type`; the names of rows do not show it, as a server may be called "BACKEND".
BACKEND_ROW, SERVER_ROW = "1", "2"

MAX_ROWS = 100_000  # of one table
MAX_ROW_CHARS = 16_384  # what HAProxy writes has a tenth of that
MAX_COLUMNS = 1_000  # 208 in HAProxy 3.2
MAX_NAME_CHARS = 255  # of a name of a backend or server
MAX_TEXT_CHARS = 1_000  # of any other text of a server
_MAX_INFO_CHARS = 65_536  # of `show info`
_MAX_DIGITS = 18  # so that all numbers fit into 64 bits

_MAX_REFUSAL_CHARS = 100  # longer than each of
_REFUSALS = ("No such backend.", "No such proxy.", "Can't find backend.")


def split_replies(instance: str, text: str, count: int) -> list[str]:
    """Split the reply to a line of `count` reads; each one ends with an empty line.

    Raises:
        Refused, PermissionDenied: with HAProxy's words, when that is what one of them says.
        UnreadableReply: there are more or fewer, or the last one was cut off.
    """
    replies = text.split("\n\n", count + 1)
    for reply in replies:
        words = reply[:_MAX_REFUSAL_CHARS].strip() if len(reply) <= _MAX_REFUSAL_CHARS else ""
        if words == "Permission denied":
            raise PermissionDenied(instance, words)
        if words in _REFUSALS:
            raise Refused(instance, words)
    if replies.pop().strip("\n") or len(replies) != count:
        raise _not_understood(instance, f"{count} complete replies", text)
    return replies


def parse_info(instance: str, text: str) -> Info:
    """Parse `show info`: lines of ``Name: value``."""
    if len(text) > _MAX_INFO_CHARS:
        raise _not_understood(instance, f"`show info` of at most {_MAX_INFO_CHARS:,} characters", text)
    fields = dict(line.split(": ", 1) for line in text.split("\n") if ": " in line)
    try:
        return Info(
            instance=instance,
            version=shorten(fields["Version"], MAX_NAME_CHARS),
            pid=parse_number(fields["Pid"]),
            uptime=parse_number(fields["Uptime_sec"]),
            stopping=parse_number(fields["Stopping"]) != 0,
            node=shorten(fields.get("node", ""), MAX_NAME_CHARS),
            processes=parse_number(fields.get("Nbproc", "1")),
            process=parse_number(fields.get("Process_num", "1")),
        )
    except KeyError as error:
        raise _not_understood(instance, f"`show info` with {error.args[0]}", text) from None
    except ValueError as error:
        raise _not_understood(instance, f"numbers in `show info` ({error})", text) from None


def parse_level(instance: str, text: str) -> Level:
    """Parse `show cli level`, which every level may ask and which changes nothing."""
    try:
        return Level[text[:_MAX_REFUSAL_CHARS].strip().upper()]
    except KeyError:
        raise _not_understood(instance, "admin, operator or user", text) from None


def parse_stat(instance: str, text: str) -> list[dict[str, str]]:
    """Parse the CSV of `show stat` by its header.

    Returns:
        One mapping for each row with all of `STAT_FIELDS`; those this HAProxy has not are empty.
    """
    if not text.startswith("# pxname,"):
        raise _not_understood(instance, "the CSV of `show stat`", text)
    check_size(instance, text)
    first, _, body = text[2:].partition("\n")
    header = first.split(",")
    missing = [name for name in STAT_NEEDED if name not in header]
    if missing:
        raise _not_understood(instance, f"columns {', '.join(missing)}", text)
    present = {name: header.index(name) for name in STAT_FIELDS if name in header}
    absent = {name: "" for name in STAT_FIELDS if name not in header}
    pick = itemgetter(*present.values())
    rows = _parse_csv(instance, body, len(header), max(present.values()) + 1)
    result = [dict(zip(present, pick(row), strict=True), **absent) for row in rows]
    for row in result:
        _check_names(instance, row["pxname"], row["svname"])
    return result


def parse_servers_state(instance: str, text: str) -> list[dict[str, str]]:
    """Parse `show servers state`: a format number, a header, rows divided by blanks."""
    check_size(instance, text)
    lines = text.rstrip("\n").split("\n")
    if lines[:1] != ["1"] or len(lines) < 2 or not lines[1].startswith("# "):
        raise _not_understood(instance, "format 1 of `show servers state`", text)
    header = lines[1][2:].split()
    missing = [name for name in STATE_FIELDS if name not in header]
    if missing:
        raise _not_understood(instance, f"columns {', '.join(missing)}", text)
    result = []
    for line in lines[2:]:
        row = line.split(" ")
        if len(row) != len(header):
            raise _not_understood(instance, f"{len(header)} columns in each row", line)
        result.append(dict(zip(header, row, strict=True)))
        _check_names(instance, result[-1]["be_name"], result[-1]["srv_name"])
    return result


def check_size(instance: str, text: str) -> None:
    """Refuse a table that is larger than any that HAProxy writes, before it is divided.

    Raises:
        UnreadableReply: it has too many rows or columns, or a row is too long.
    """
    if text.count("\n") > MAX_ROWS + 2:
        raise UnreadableReply(instance, f"a table of more than {MAX_ROWS:,} rows")
    longest = max(text.split("\n"), key=len)
    if len(longest) > MAX_ROW_CHARS:
        raise _not_understood(instance, f"rows of at most {MAX_ROW_CHARS:,} characters", longest)
    if text[: 2 * MAX_ROW_CHARS].partition("\n")[0].count(",") >= MAX_COLUMNS:
        raise _not_understood(instance, f"at most {MAX_COLUMNS:,} columns", text)


def parse_number(text: str) -> int:
    """Read a whole number as HAProxy writes it. Raises ValueError for anything else that `int` would take."""
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= _MAX_DIGITS):
        raise ValueError(f"{shorten(text, 40)!r} is not a whole number")
    return int(text)


def _check_names(instance: str, *names: str) -> None:
    for name in names:
        if len(name) > MAX_NAME_CHARS:
            raise _not_understood(instance, f"names of at most {MAX_NAME_CHARS} characters", name)


def _parse_csv(instance: str, text: str, width: int, leading: int) -> list[list[str]]:
    """Return the rows, each with at least its leading fields, after a check of the width of all of them."""
    if '"' not in text:  # nearly always; and of 200 columns only the first 100 are of interest
        lines = [line for line in text.split("\n") if line]
        odd = [line for line in lines if line.count(",") != width - 1]
        rows = [line.split(",", leading) for line in lines]
    else:
        try:
            rows = [row for row in csv.reader(io.StringIO(text), strict=True) if row]
        except csv.Error as error:
            raise _not_understood(instance, f"CSV ({error})", text) from None
        odd = [",".join(row) for row in rows if len(row) != width]
    if odd:
        raise _not_understood(instance, f"{width} columns in each row", odd[0])
    return rows


def _not_understood(instance: str, expected: str, text: str) -> UnreadableReply:
    found = f"{text[:120]!r}" + (f"… ({len(text):,} characters)" if len(text) > 120 else "")
    return UnreadableReply(instance, f"expected {expected}, got {found}")
