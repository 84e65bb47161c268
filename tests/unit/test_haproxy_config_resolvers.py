"""What HAProxy's configuration says of resolvers, and of ports that are computed for each connection."""

import pytest

from backends.haproxy.config_file import parse_config

RESOLVERS = "resolvers dns\nnameserver a 10.0.0.1:53\n{hold}\n"


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ("hold obsolete 600s", {"shop": 600.0}),
        ("hold obsolete 30000", {"shop": 30.0}),
        ("hold obsolete 10m", {"shop": 600.0}),
        ("hold obsolete 1h", {"shop": 3600.0}),
        ("hold valid 600s", {"shop": 0.0}),
        ("hold obsolete soon", {"shop": 0.0}),
    ],
)
def test_how_long_a_record_that_is_gone_counts(text: str, held: dict[str, float]) -> None:
    server = "backend shop\nserver-template shop- 5 _shop._tcp.test resolvers dns check\n"
    assert parse_config(RESOLVERS.format(hold=text) + server).hold_obsolete_s == held
    assert parse_config(server + RESOLVERS.format(hold=text)).hold_obsolete_s == held, "in any order"
    by_default = "backend shop\ndefault-server resolvers dns\nserver a web.test:80\n"
    assert parse_config(RESOLVERS.format(hold=text) + by_default).hold_obsolete_s == held
    assert not parse_config("backend shop\nserver a web.test:80\n").hold_obsolete_s


def test_of_several_resolvers_the_shortest_time_counts() -> None:
    text = (
        "resolvers one\nhold obsolete 60s\nresolvers two\nhold obsolete 5s\n"
        "backend shop\nserver a web.test:80 resolvers one\nserver b web.test:80 resolvers two\n"
        "backend api\nserver a web.test:80 resolvers nowhere\n"
    )
    assert parse_config(text).hold_obsolete_s == {"shop": 5.0, "api": 0.0}


@pytest.mark.parametrize(
    ("address", "relative"),
    [
        ("10.0.0.1:-1280", True),
        ("10.0.0.1:+1000", True),
        (":+1000", True),
        ("10.0.0.1", True),
        ("[::1]", True),
        ("[::1]:+8", True),
        ("web.test", True),
        ("10.0.0.1:80", False),
        ("[::1]:80", False),
        (":80", False),
        ("web.test:8080", False),
    ],
)
def test_ports_that_are_computed_for_each_connection(address: str, relative: bool) -> None:
    found = parse_config(f"backend shop\nserver a {address} check\nserver b 10.0.0.2:80\n")
    assert found.relative_ports == (frozenset({("shop", "a")}) if relative else frozenset())
