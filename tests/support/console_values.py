"""Values for tests of what an operator sees: a configuration, a server line, hostile texts."""

from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from backends.model import Admin, Operational, RequestCounters, Server, ServerRef

TOML = """\
[haproxy.lb1]
socket = "unix:///run/haproxy/admin.sock"

[apps.shop]
backends = ["shop"]

[apps.shop.service]
kind = "monit"
name = "shop"
"""

HIDDEN = "".join(
    chr(number)
    for first, last in (  # Unicode's DerivedCoreProperties.txt: Default_Ignorable_Code_Point, and some more
        (0x00AD, 0x00AD),
        (0x034F, 0x034F),
        (0x061C, 0x061C),
        (0x115F, 0x1160),
        (0x17B4, 0x17B5),
        (0x180B, 0x180F),
        (0x200B, 0x200F),
        (0x2028, 0x202E),
        (0x2060, 0x206F),
        (0x2800, 0x2800),
        (0x3164, 0x3164),
        (0xFE00, 0xFE0F),
        (0xFEFF, 0xFEFF),
        (0xFFA0, 0xFFA0),
        (0xFFF0, 0xFFF8),
        (0x1BCA0, 0x1BCA3),
        (0x1D173, 0x1D17A),
        (0xE0000, 0xE007F),
        (0xE0100, 0xE01EF),
    )
    for number in range(first, last + 1)
)
"""Characters that nobody sees, or that turn the order of others around."""

HOSTILE = (
    "\x1b[31mred\x1b[0m",
    "\x1b]0;title\x07",
    "\x9b2J",
    "[red]markup[/red]",
    "user\u202egnp.exe",
    "wide 日本語",
    "zero\u200bwidth e\u0301",
    "two\nlines\r\tand a tab",
    "\ud800 alone",
    HIDDEN,
    "long " * 2000,
)

anything = st.text(st.characters(codec=None, exclude_categories=()), max_size=60) | st.sampled_from(HOSTILE)


def write(folder: Path, text: str = TOML) -> Path:
    """A configuration file in this folder."""
    path = folder / "config.toml"
    path.write_text(text, encoding="utf-8")
    return path


def raw(**app: Any) -> dict[str, Any]:
    """A decoded document with one application; a value of None takes a key away."""
    shop = {"backends": ["shop"], "service": {"kind": "monit", "name": "shop"}} | app
    return {
        "haproxy": {"lb1": {"socket": "unix:///run/haproxy/admin.sock"}},
        "apps": {"shop": {key: value for key, value in shop.items() if value is not None}},
    }


def server(name: str = "web1", instance: str = "lb1", backend: str = "shop", **changes: Any) -> Server:
    """A server in full health that takes traffic, but for the changes."""
    fields: dict[str, Any] = {
        "ref": ServerRef(instance, backend, name),
        "address": "10.0.0.11",
        "port": 8080,
        "admin": Admin.NONE,
        "operational": Operational.RUNNING,
        "status": "UP",
        "weight": 1,
        "initial_weight": 1,
        "effective_weight": 1,
        "has_checks": True,
        "check_status": "L7OK",
        "check_health": 4,
        "check_rise": 2,
        "check_fall": 3,
        "check_code": "200",
        "check_duration": 1,
        "check_failures": 0,
        "last_check": "",
        "agent": False,
        "agent_configured": False,
        "agent_status": "",
        "last_agent": "",
        "track_target": "",
        "backup": False,
        "cookie": "",
        "sessions": 0,
        "queue": 0,
        "throttle": None,
        "last_change": 5,
        "counters": counters(changes.pop("requests", 0), changes.pop("errors_5xx", 0)),
        "response_time": None,
    }
    return Server(**(fields | changes))


def counters(requests: int, errors_5xx: int = 0) -> RequestCounters:
    """Of a server that answered all requests, some of them with 500."""
    return RequestCounters(total=requests, answered=requests, answered_5xx=errors_5xx)


_HIDDEN = frozenset(HIDDEN)


def harmless(text: str) -> bool:
    """Nothing in it can move a cursor, color, reorder, hide or end the line."""
    return all(character.isprintable() and character not in _HIDDEN for character in text)
