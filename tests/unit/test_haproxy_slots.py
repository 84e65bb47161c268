"""Which server lines are slots that nothing has filled, by what `show servers state` says of them."""

import pytest

from backends.haproxy.slots import Line, find_empty_among

NONE, RESOLUTION, DISABLED = 0, 32, 5
SRV, HOST = ("-", "_web._tcp.test"), ("web.test", "-")


def line(
    admin: int, address: str, source: tuple[str, str] = ("-", "-"), port: str = "80", backend: str = "3"
) -> Line:
    return Line(backend, admin, address, port, *source)


FULL = line(NONE, "10.0.0.1", ("n1.test", SRV[1]))


@pytest.mark.parametrize(
    ("lines", "empty"),
    [
        ([FULL, line(RESOLUTION, "-", SRV), line(RESOLUTION, "-", SRV)], {1, 2}),
        ([FULL, line(RESOLUTION, "-", SRV)], {1}),  # its twin is filled
        ([FULL, line(RESOLUTION | 64, "10.0.0.2", SRV)], {1}),  # 2.2 keeps the address
        ([FULL, line(RESOLUTION | 1, "-", SRV)], {1}),  # and somebody has it in maintenance
        ([line(NONE, "10.0.0.1", HOST), line(RESOLUTION, "-", HOST)], {1}),
        ([line(NONE, "10.0.0.1", HOST), line(RESOLUTION, "-", HOST, "81")], set()),
        ([line(NONE, "10.0.0.1", HOST), line(RESOLUTION, "-", HOST, backend="4")], set()),
        ([line(RESOLUTION, "-", ("a.test", "-")), line(RESOLUTION, "-", ("b.test", "-"))], set()),
        (
            [line(RESOLUTION, "-", ("-", "_a._tcp.test"))],
            set(),
        ),  # a server of its own
        ([line(NONE, ""), line(RESOLUTION, "")], {1}),  # a statistics page hides sources and addresses
        ([line(NONE, ""), line(1, "")], set()),
        ([line(4, "10.0.0.1"), line(DISABLED, "0.0.0.0"), line(DISABLED, "::")], {1, 2}),
        ([line(4, "10.0.0.1"), line(1, "0.0.0.0")], {1}),
        ([line(NONE, "0.0.0.0")], set()),
        ([line(4, "10.0.0.1"), line(DISABLED, "127.0.0.1"), line(DISABLED, "127.0.0.1")], {1, 2}),
        ([line(DISABLED, "10.0.0.1"), line(DISABLED, "10.0.0.2")], set()),  # each its own machine
        ([line(NONE, "10.0.0.1"), line(DISABLED, "10.0.0.1")], set()),
        ([line(1, "10.0.0.1"), line(1, "10.0.0.1")], set()),  # two names of one machine, taken out by hand
        ([line(NONE, "10.0.0.1"), line(DISABLED, "127.0.0.1", port="1023")], {1}),  # the last one, unfilled
        ([line(4, "10.0.0.1"), line(DISABLED, "::1")], {1}),
        ([line(NONE, "10.0.0.1", backend="4"), line(DISABLED, "127.0.0.1")], set()),
        ([line(NONE, "127.0.0.2"), line(DISABLED, "127.0.0.1")], set()),  # all on this machine
        ([line(NONE, "10.0.0.1"), line(1, "127.0.0.1")], set()),  # taken out by hand
        ([line(NONE, "10.0.0.1"), line(NONE, "127.0.0.1")], set()),
        ([line(NONE, "10.0.0.1"), line(RESOLUTION | DISABLED, "-", SRV)], {1}),  # never had an address
        ([line(NONE, "10.0.0.1"), line(RESOLUTION | DISABLED, "-", HOST)], {1}),
        ([line(RESOLUTION | DISABLED, "10.0.0.1", HOST)], set()),  # 2.2: it had one
        ([line(DISABLED, "-", port="0"), line(DISABLED, "-", port="0")], set()),  # unix sockets
    ],
)
def test_a_slot_is_empty_when_nothing_has_filled_it(lines: list[Line], empty: set[int]) -> None:
    assert find_empty_among(lines) == empty
