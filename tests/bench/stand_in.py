"""A stand-in for a HAProxy on which everything changes with each poll: `python -m tests.bench.stand_in`.

No two cores make ten thousand real servers all serve, and some of them change their state, within a
second. So the replies come from a real HAProxy with as many servers, captured in the same run, and only
the cells that would change are written anew: counters, sessions, times and, for some, the states. They
are rendered before the measurement begins, as a ring of variants; counters go on from round to round
by a mark in them that is replaced while nobody waits. It runs in a process of its own.
"""

import contextlib
import random
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

RING = 8  # variants
_ROUND = 1000  # what a server's counter of responses grows by in a round; of its errors: a hundredth
_NOW, _THEN = b"EEEEEE", b"FFFFFF"  # marks in a counter: the round, and the next one
_FIRST = 100_000  # round: as long as the marks
_PERCENT_DOWN, _PERCENT_DRAINED = 1, 1

Row = dict[str, str]


def variants(capture: bytes) -> list[bytes]:
    """The ring, from one real reply to the line that the console sends."""
    info, level, states, stats, *rest = capture.decode().split("\n\n")
    version, state_header, *state_rows = states.split("\n")
    stat_header, *stat_rows = stats.split("\n")
    dice = random.Random(1)  # noqa: S311  (figures to look at)
    growth = [_growth(dice) for _ in stat_rows]
    ring = []
    for number in range(RING):
        new_states, new_stats = [], []
        place = 0
        for line in stat_rows:
            row = dict(zip(stat_header.removeprefix("# ").split(","), line.split(","), strict=True))
            if row["type"] == "2":
                names = state_header.removeprefix("# ").split(" ")
                state = dict(zip(names, state_rows[place].split(" "), strict=True))
                _change(row, state, growth[place], number, dice)
                new_states.append(" ".join(state.values()))
                place += 1
            elif row["type"] == "1":  # of a backend: the sum of what its servers would have served
                own = _growth(random.Random(row["pxname"]))  # noqa: S311  (figures to look at)
                row["hrsp_2xx"] = row["stot"] = row["req_tot"] = _counter(own[number], _ROUND, 3)
            new_stats.append(",".join(row.values()))
        tables = ["\n".join([version, state_header, *new_states]), "\n".join([stat_header, *new_stats])]
        ring.append("\n\n".join([info, level, *tables, *rest]).encode())
    return ring


def _growth(dice: random.Random) -> list[int]:
    """A server's counter at each variant: irregular, but the same in each round."""
    start = dice.randrange(_ROUND)
    return [start, *sorted(start + dice.randrange(1, _ROUND) for _ in range(RING - 1))]


def _change(row: Row, state: Row, growth: list[int], number: int, dice: random.Random) -> None:
    """One more second has passed for this server."""
    row["hrsp_2xx"] = row["stot"] = _counter(growth[number], _ROUND, 3)
    row["hrsp_5xx"] = _counter(growth[number] // 100, _ROUND // 100, 1)
    row["scur"], row["rtime"] = str(dice.randrange(30)), str(dice.randrange(1, 200))
    row["lastchg"] = state["srv_time_since_last_change"] = str(dice.randrange(100_000))
    fate = dice.randrange(100)
    down, drained = fate < _PERCENT_DOWN, fate >= 100 - _PERCENT_DRAINED
    health = 0 if down else int(row["check_rise"]) + int(row["check_fall"]) - 1
    row["check_health"] = state["srv_check_health"] = str(health)
    row["check_status"] = "L4CON" if down else "L7OK"
    row["status"] = "DOWN" if down else "DRAIN" if drained else "UP"
    row["weight"] = "0" if drained else "1"
    state["srv_op_state"], state["srv_admin_state"] = "0" if down else "2", "8" if drained else "0"


def _counter(value: int, round_: int, digits: int) -> str:
    mark = _NOW if value < round_ else _THEN
    return f"{mark.decode()}{value % round_:0{digits}d}"


def replies(ring: list[bytes]) -> Iterator[bytes]:
    """One for each poll, without end."""
    number = _FIRST
    while True:
        for reply in ring:
            yield reply.replace(_NOW, b"%d" % number).replace(_THEN, b"%d" % (number + 1))
        number += 1


def serve(ring: list[bytes], path: str) -> None:
    """Answer each connection with the next reply, whatever its line asks."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        for reply in replies(ring):  # made while nobody waits for it
            connection, _ = listening.accept()
            with connection, contextlib.suppress(OSError):  # who asked may be gone
                while (asked := connection.recv(65_536)) and not asked.endswith(b"\n"):
                    pass
                connection.sendall(reply)


if __name__ == "__main__":
    serve(variants(Path(sys.argv[1]).read_bytes()), sys.argv[2])
