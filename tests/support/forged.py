"""Forged values in Consul: publications, requests and lock values, each with its fault.

All of them are small enough for one key. What reads them may refuse them with an error of its own, or take
them; it may not fail in any other way, and what it has taken into the journal must be readable there.
"""

import copy
import json
import zlib
from collections.abc import Iterator
from typing import Any

APP = "shop"
NAN, INFINITE, HUGE = "NaN", "1e999", "1" + "0" * 400  # as JSON numbers; written in by hand
LONG = "x" * 100_000
VERY_LONG = "x" * 10_000_000
DEEP = "[" * 100_000 + "]" * 100_000
MARK = "forged by whoever writes there"
_RAW = "@raw:"  # of a value that stands in the JSON as it is

WRONG: dict[str, Any] = {
    "null": None,
    "true": True,
    "a text": "web1",
    "an empty text": "",
    "control characters": "a\x1b]0;x\x07\r\nb\u202e",
    "a shell's": "$(touch /tmp/forged)",
    "an option": "-oProxyCommand=x",
    "100 kB": LONG,
    "a list": [],
    "a deep list": _RAW + DEEP,
    "an object": {},
    "-1": -1,
    "zero": 0,
    "a fraction": 0.5,
    "beyond 64 bits": 2**64,
    "1e300": 1e300,
    "-1e300": -1e300,
    "NaN": _RAW + NAN,
    "infinite": _RAW + INFINITE,
    "400 digits": _RAW + HUGE,
    "a lone surrogate": _RAW + r'"\ud800"',
}


def publication() -> dict[str, Any]:
    """An honest one, as plain values: of two nodes one is done, and one has failed."""
    original = {
        "instance": "lb1",
        "backend": "shop",
        "server": "web1",
        "admin": "ready",
        "weight": 100,
        "agent": False,
    }
    out = {
        "node": "web2",
        "servers": ["shop/web2 on lb1: maint (MAINT)"],
        "intentional": False,
        "commands": [
            {"kind": "ready", "text": "rolldeck ready shop web2"},
            {"kind": "by_hand", "text": "lb1: set server shop/web2 state ready"},
        ],
        "rollback_command": "rolldeck upgrade shop 1.4.2 --limit web2 --force-ready web2",
    }
    started = {
        "event": "rollout_started",
        "application": APP,
        "version": "1.5.0",
        "nodes": ["web1", "web2"],
        "batches": [["web1"], ["web2"]],
        "operator": "ann@far",
        "before": {"web1": "1.4.2", "web2": "1.4.2"},
    }
    ended = {
        "event": "rollout_ended",
        "result": "degraded",
        "reason": "web2: no",
        "upgraded": ["web1"],
        "failed": ["web2"],
        "skipped": [],
        "interrupted": [],
        "pending": [],
        "out_of_rotation": [out],
        "unreachable_balancers": [],
        "duration_s": 12.5,
    }
    events: list[dict[str, Any]] = [
        started,
        {"event": "batch_started", "number": 1, "nodes": ["web1"]},
        {"event": "node_started", "node": "web1", "version": "1.5.0", "originals": [original]},
        {"event": "step_started", "node": "web1", "step": "drain"},
        {"event": "waiting", "node": "web1", "step": "drain", "reason": "2 sessions", "remaining_s": 3.0},
        {
            "event": "step_done",
            "node": "web1",
            "step": "drain",
            "changed": True,
            "detail": "",
            "duration_s": 1.0,
        },
        {"event": "node_upgraded", "node": "web1", "duration_s": 5.0},
        {
            "event": "node_started",
            "node": "web2",
            "version": "1.5.0",
            "originals": [{**original, "server": "web2"}],
        },
        {"event": "step_started", "node": "web2", "step": "start"},
        {
            "event": "command_started",
            "node": "web2",
            "step": "start",
            "target": "web2",
            "pid": 7,
            "started": 9,
        },
        {"event": "node_failed", "node": "web2", "step": "start", "error": "no"},
        ended,
    ]
    return {
        "schema": 2,
        "head": {
            "kind": "upgrade",
            "application": APP,
            "version": "1.5.0",
            "operator": "ann@far",
            "host": "far",
            "pid": 7,
            "began": 1_764_000_000.0,
            "plan": {
                "batches": [["web1"], ["web2"]],
                "nodes": [{"node": "web1", "wanted": "1.5.0"}, {"node": "web2", "wanted": "1.5.0"}],
                "policy": {"serial": 1},
                "places": {"web1": {"address": "10.0.0.1", "port": 80, "ssh": "web1"}},
                "findings": [],
            },
            "fence": 3,
        },
        "lines": [[number, 1_764_000_000.0 + number, event] for number, event in enumerate(events, 2)],
    }


def written(value: Any) -> bytes:
    """As JSON, with what JSON cannot say."""
    text = json.dumps(value)
    while (start := text.find(f'"{_RAW}')) >= 0:
        raw, end = json.JSONDecoder().raw_decode(text, start)
        text = text[:start] + raw.removeprefix(_RAW) + text[end:]
    return text.encode()


def packed(value: Any) -> bytes:
    return zlib.compress(written(value), level=1)  # whoever writes there may pack it as quickly


def publications() -> Iterator[tuple[str, bytes]]:
    """Name and value of the key."""
    yield "nothing", b""
    yield "garbage", b"garbage"
    yield "not UTF-8", zlib.compress(b'{"schema": 1, "head": "\xff\xfe"}')
    yield "not compressed", written(publication())
    yield "cut off", packed(publication())[:-20]
    yield "more behind it", packed(publication()) + b"more"
    yield "a bomb", zlib.compress(b" " * 200_000_000)  # smaller than the largest value of Consul
    yield "a deep one", zlib.compress(DEEP.encode())
    yield "of another schema", packed(publication() | {"schema": 3})
    for path in paths(publication()):
        for name, value in WRONG.items():
            yield f"{'.'.join(map(str, path))} is {name}", packed(_with(publication(), path, value))
        yield f"{'.'.join(map(str, path))} is missing", packed(_without(publication(), path))
    for path in (("head", "operator"), ("head", "version"), ("lines", 10, 2, "error")):
        yield f"{'.'.join(map(str, path))} is 10 MB", packed(_with(publication(), path, VERY_LONG))
    yield from _sequences()
    yield "a foreign application", packed(_with(publication(), ("head", "application"), "bank"))
    foreign = _with(publication(), ("lines", 0, 2, "application"), "bank")
    yield "a foreign application in an event", packed(foreign)
    yield "a change by hand", packed(_with(publication(), ("head", "kind"), "change"))
    yield "a deep field that nobody knows", packed(_with(publication(), ("new",), _RAW + DEEP))
    many = [{"node": f"n{number}", "wanted": "1"} for number in range(200_000)]
    yield "200,000 nodes", packed(_with(publication(), ("head", "plan", "nodes"), many))


def _sequences() -> Iterator[tuple[str, bytes]]:
    lines = publication()["lines"]
    for name, numbers in (
        ("the same number twice", [1, 1]),
        ("numbers that go down", [9, 8]),
        ("a number below one", [-5, -4]),
        ("a number beyond 64 bits", [1, 2**64]),
    ):
        some = [[number, *line[1:]] for number, line in zip(numbers, lines, strict=False)]
        yield name, packed(_with(publication(), ("lines",), some + lines[2:]))
    yield "twice from the beginning", packed(_with(publication(), ("lines",), lines + lines))
    strange = [2, 1.0, {"event": "root_shell", "node": "web1"}]
    yield "an event that nobody knows", packed(_with(publication(), ("lines",), [strange]))
    private = {
        "event": "command_finished",
        "node": "web1",
        "step": "x",
        "target": "lb1",
        "command": "x",
        "reply": "x",
    }
    more = [99, 1.0, private | {"ok": True, "duration_s": 0.0}]
    yield "an event that nobody publishes", packed(_with(publication(), ("lines",), [*lines, more]))
    stranger = {"event": "node_started", "node": "ghost", "version": "6", "originals": []}
    yield (
        "a node that is not in the plan",
        packed(_with(publication(), ("lines",), [*lines, [99, 1.0, stranger]])),
    )


def paths(value: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """To each part of it; of a list of many only the first one of each kind."""
    if before:
        yield before
    if isinstance(value, dict):
        for key, part in value.items():
            yield from paths(part, (*before, key))
    elif isinstance(value, list):
        whole = before[:1] == ("lines",) and len(before) <= 2  # each event, and each part of its line
        for index, part in enumerate(value if whole else value[:1]):
            yield from paths(part, (*before, index))


def _with(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    value = copy.copy(value)
    value[path[0]] = _with(value[path[0]], path[1:], new) if len(path) > 1 else new
    return value


def _without(value: Any, path: tuple[Any, ...]) -> Any:
    value = copy.copy(value)
    if len(path) > 1:
        value[path[0]] = _without(value[path[0]], path[1:])
    else:
        del value[path[0]]
    return value


def requests(fence: int) -> Iterator[tuple[str, bytes]]:
    """Of somebody who asks something of the rollout with this fence; none of them is to be carried out."""
    honest: dict[str, Any] = {"what": "abort", "who": "eve@far", "subject": "", "fence": fence}
    honest |= {"nonce": "0123456789abcdef", "at": 1_764_000_000.0}
    yield "nothing", b""
    yield "garbage", b"garbage"
    yield "not UTF-8", b'{"what": "abort", "who": "\xff\xfe"}'
    yield "a deep one", DEEP.encode()
    yield "a bomb", zlib.compress(bytes(100_000_000))
    yield "long", written(honest | {"who": "x" * 400_000})
    for name, value in WRONG.items():
        if name not in ("100 kB", "a deep list"):
            yield f"what is {name}", written(honest | {"what": value})
            if not isinstance(value, str) or name in (
                "control characters",
                "a lone surrogate",
                "an empty text",
            ):
                yield f"who is {name}", written(honest | {"who": value})
    yield "no such wish", written(honest | {"what": "root_shell"})


def holders() -> Iterator[tuple[str, bytes]]:
    """Whoever has the lock, as it stands in its key: somebody has it, whatever that says."""
    honest: dict[str, Any] = {"operator": "ann@far", "host": "far", "pid": 7, "since": 1_764_000_000.0}
    honest |= {"what": "upgrade to 1.5.0", "machine": "another kernel"}
    yield "nothing", b""
    yield "garbage", b"garbage"
    yield "not UTF-8", b'{"operator": "\xff\xfe"}'
    yield "a deep one", DEEP.encode()
    yield "a bomb", zlib.compress(bytes(100_000_000))
    for field in honest:
        for name, value in WRONG.items():
            yield f"{field} is {name}", written(honest | {field: value})
        yield f"{field} is 400 kB", written(honest | {field: "x" * 400_000})
        yield f"{field} is missing", written({key: value for key, value in honest.items() if key != field})
