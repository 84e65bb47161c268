"""A reader of HAProxy's configuration language, for the few lines that preflight needs."""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import pairwise

from backends.haproxy.columns import Name
from backends.model import Persistence

MAX_LINE_CHARS = 65_536  # what comes after them on a line is ignored
MAX_LINE_WORDS = 64  # HAProxy does not start with more of them on a line

_PIECES = re.compile(
    r"""
      (?P<blank>[ \t\v\f]++)
    | (?P<plain>[^ \t\v\f"'\\\#]++)
    | '(?P<strong>[^']*+)'
    | "(?P<weak>(?:[^"\\]|\\.)*+)"
    | (?P<escape>\\(?:x[0-9A-Fa-f]{2}|.|\Z))
    | (?P<comment>\#)
    """,
    re.VERBOSE | re.DOTALL,
)
_CHUNK_CHARS = 64 * 1024
_ESCAPE = re.compile(r"\\(x[0-9A-Fa-f]{2}|.)", re.DOTALL)
_MEANINGS = {" ": " ", "\\": "\\", "#": "#", "'": "'", '"': '"', "n": "\n", "r": "\r", "t": "\t"}


def read_lines(text: str, keywords: Collection[str]) -> Iterator[list[str]]:
    """Yield the words of each line that begins with one of the keywords, in a time linear in the length."""
    pattern = _compile_pattern(frozenset(keywords))
    begin = 0
    while begin < len(text):
        # In pieces: nothing else can run in the process while one is being matched. Where a piece ends within
        # a line, more of that than counts has been seen, and the rest of it begins no line.
        most = min(begin + _CHUNK_CHARS + MAX_LINE_CHARS, len(text))
        end = text.find("\n", begin + _CHUNK_CHARS, most)
        end = most if end < 0 else end
        for match in pattern.finditer(text, begin, end):
            words = split_line(text[match.start() : min(match.end(), match.start() + MAX_LINE_CHARS)])
            if words and words[0] in keywords:
                yield words
        begin = end + 1 if text.startswith("\n", end) else end


def split_line(line: str) -> list[str]:
    """Split one line. Where HAProxy would refuse it (an open quote), quotes do not count at all."""
    if "\r" in line:
        line = line.partition("\r")[0]
    if "\\" not in line and '"' not in line and "'" not in line:  # nearly always
        return _split_plain(line.partition("#")[0])
    words, word, inside = list[str](), list[str](), False
    at = 0
    while at < len(line) and len(words) < MAX_LINE_WORDS:
        match = _PIECES.match(line, at)
        if match is None:
            return _split_plain(line)
        at = match.end()
        kind = match.lastgroup
        if kind == "comment":
            break
        if kind != "blank":
            inside = True
            word.append(_unquote(match))
        elif inside:
            words.append("".join(word))
            word.clear()
            inside = False
    return [*words, "".join(word)] if inside else words


@lru_cache(maxsize=4)
def _compile_pattern(keywords: frozenset[str]) -> re.Pattern[str]:
    """Return a pattern for lines whose first word is a keyword, or with a quote or backslash may be one."""
    known = "|".join(map(re.escape, sorted(keywords)))
    first = rf"(?:{known})(?![^ \t\v\f\r\n#])|[^ \t\v\f\r\n#\"'\\]*+[\"'\\]"
    return re.compile(rf"^[ \t\v\f]*+(?:{first})[^\n]*+", re.MULTILINE)


def _split_plain(line: str) -> list[str]:
    if not line.isascii():  # `split` knows more blanks than HAProxy
        return [word for word in re.split(r"[ \t\v\f]+", line, maxsplit=MAX_LINE_WORDS) if word]
    return line.split(None, MAX_LINE_WORDS)


def _unquote(match: re.Match[str]) -> str:
    kind, text = match.lastgroup, match[0]
    if kind == "weak":
        return _ESCAPE.sub(lambda found: _unescape(found[1], dollar=True), match["weak"])
    if kind == "escape":
        return _unescape(text[1:], dollar=False)
    return match["strong"] if kind == "strong" else text


def _unescape(escaped: str, *, dollar: bool) -> str:
    if escaped[:1] == "x" and len(escaped) == 3:
        return chr(int(escaped[1:], 16))
    if escaped == "$" and dollar:
        return "$"
    return _MEANINGS.get(escaped, f"\\{escaped}")


_PROXIES = ("backend", "listen")
_SECTIONS = (
    *("global", "defaults", "frontend", "backend", "listen", "userlist", "peers", "resolvers"),
    *("cache", "program", "ring", "http-errors", "fcgi-app", "mailers", "log-forward", "crt-store"),
    *("traces", "log-profile", "acme"),
)
_SERVER_LINES = ("server", "server-template", "default-server")
_PERSISTENCE_LINES = ("cookie", "stick", "persist", "use-server", "force-persist", "option", "no")
_OTHER_LINES = ("server-state-file", "load-server-state-from-file", "hold", "hash-type")
_KEYWORDS = frozenset((*_SECTIONS, *_SERVER_LINES, *_PERSISTENCE_LINES, *_OTHER_LINES))
_RELATIVE = re.compile(r".*:[+-]\d+|[^:]*|.*\]", re.DOTALL)  # of an address; without a port it is "+0"
_TIME = re.compile(r"(\d{1,9})(us|ms|s|m|h|d)?", re.ASCII)
_UNITS = {"us": 0.000001, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """What was found in a configuration file.

    Attributes:
        state_file: every backend with servers loads its state from a file.
        shutdown_on_marked_down: backends in which maintenance cuts requests in flight.
        persistence: what keeps clients on their servers, of the backends where something does.
        hold_obsolete_s: of the backends whose servers are resolved at run time, how many seconds a record
            that is gone still counts.
        relative_ports: backend and name of the servers whose port HAProxy computes from the client's.
        all_backups: backends in which all backup servers serve together, by `option allbackups`.
        consistent_hashes: backends with `hash-type consistent`, whose weights can be changed.
    """

    state_file: bool
    shutdown_on_marked_down: frozenset[str]
    persistence: Mapping[str, Persistence] = field(default_factory=dict)
    hold_obsolete_s: Mapping[str, float] = field(default_factory=dict)
    relative_ports: frozenset[Name] = frozenset()
    all_backups: frozenset[str] = frozenset()
    consistent_hashes: frozenset[str] = frozenset()


@dataclass(slots=True)
class _Section:
    kind: str
    name: str
    cuts: bool = False  # on-marked-down shutdown-sessions
    load: str = "none"  # load-server-state-from-file
    servers: int = 0
    keeps: tuple[str, ...] = ()  # what keeps clients on their servers
    persist: bool = False  # option persist
    force_persist: bool = False
    all_backups: bool = False  # option allbackups
    consistent_hash: bool = False
    relative_ports: frozenset[str] = frozenset()  # names of servers
    resolvers: frozenset[str] = frozenset()  # named on lines of servers


@dataclass(slots=True)
class _Reading:
    current: _Section = field(default_factory=lambda: _Section("", ""))
    last_defaults: _Section = field(default_factory=lambda: _Section("defaults", ""))
    named_defaults: dict[str, _Section] = field(default_factory=dict)
    proxies: list[_Section] = field(default_factory=list)
    global_file: bool = False
    hold_obsolete_s: dict[str, float] = field(default_factory=dict)  # by section of resolvers


def parse_config(text: str) -> ConfigFile:
    """Parse one configuration, or several joined in the order in which HAProxy reads them."""
    reading = _Reading()
    for words in read_lines(text, _KEYWORDS):
        if words[0] in _SECTIONS:
            _open_section(reading, words)
        else:
            _read_line(reading, words)
    with_servers = [proxy for proxy in reading.proxies if proxy.servers]
    return ConfigFile(
        state_file=bool(with_servers)
        and all(_loads_state(proxy, reading.global_file) for proxy in with_servers),
        shutdown_on_marked_down=frozenset(proxy.name for proxy in with_servers if proxy.cuts),
        relative_ports=frozenset(
            (proxy.name, server) for proxy in with_servers for server in proxy.relative_ports
        ),
        hold_obsolete_s={
            proxy.name: min(reading.hold_obsolete_s.get(name, 0.0) for name in proxy.resolvers)
            for proxy in with_servers
            if proxy.resolvers
        },
        persistence={proxy.name: _build_persistence(proxy) for proxy in with_servers if proxy.keeps},
        all_backups=frozenset(proxy.name for proxy in with_servers if proxy.all_backups),
        consistent_hashes=frozenset(proxy.name for proxy in with_servers if proxy.consistent_hash),
    )


def _open_section(reading: _Reading, words: list[str]) -> None:
    kind, name = words[0], words[1] if len(words) > 1 else ""
    parent = reading.last_defaults
    if "from" in words[2:-1]:
        parent = reading.named_defaults.get(words[words.index("from", 2) + 1], parent)
    elif kind == "defaults":
        parent = _Section("defaults", "")  # a new one starts empty
    reading.current = replace(parent, kind=kind, name=name, servers=0)
    if kind == "defaults":
        reading.last_defaults = reading.current
        reading.named_defaults[name] = reading.current
    elif kind in _PROXIES:
        reading.proxies.append(reading.current)


def _read_line(reading: _Reading, words: list[str]) -> None:
    section = reading.current
    match words:
        case ["server-state-file", _, *_] if section.kind == "global":
            reading.global_file = True
        case ["load-server-state-from-file", source, *_]:
            section.load = source
        case [keyword, *_] if keyword in _SERVER_LINES:
            section.servers += keyword != "default-server"
            if keyword == "server" and len(words) > 2 and _RELATIVE.fullmatch(words[2]):
                section.relative_ports |= {words[1]}
            section.cuts |= ("on-marked-down", "shutdown-sessions") in pairwise(words)
            if "resolvers" in words[1:-1]:
                section.resolvers |= {words[words.index("resolvers", 1) + 1]}
        case ["hold", "obsolete", text, *_] if section.kind == "resolvers":
            reading.hold_obsolete_s[section.name] = _parse_seconds(text)
        case ["option", "allbackups", *_]:
            section.all_backups = True
        case ["no", "option", "allbackups", *_]:
            section.all_backups = False
        case ["hash-type", kind, *_]:
            section.consistent_hash = kind == "consistent"
        case _:
            _read_persistence(section, words)


def _read_persistence(section: _Section, words: list[str]) -> None:
    match words:
        case ["cookie", name, *_]:
            _keep(section, f'cookie "{name}"')
        case ["stick", "on" | "match", *_]:
            _keep(section, "stick table")
        case ["persist", kind, *_] if kind.startswith("rdp-cookie"):
            _keep(section, "RDP cookie")
        case ["use-server", *_]:
            _keep(section, "use-server")
        case ["option", "persist", *_]:
            section.persist = True
        case ["no", "option", "persist", *_]:
            section.persist = False
        case ["force-persist", *_]:
            section.force_persist = True


def _keep(section: _Section, by: str) -> None:
    if by not in section.keeps:
        section.keeps = (*section.keeps, by)


def _build_persistence(proxy: _Section) -> Persistence:
    forced = "option persist" if proxy.persist else "force-persist" if proxy.force_persist else ""
    return Persistence(proxy.keeps, forced)


def _loads_state(proxy: _Section, global_file: bool) -> bool:
    # "local" without a name reads a file that is called like the backend
    return proxy.load == "local" or (proxy.load == "global" and global_file)


def _parse_seconds(text: str) -> float:
    """Read a time as HAProxy writes it, in milliseconds without a unit; 0 for what is none."""
    match = _TIME.fullmatch(text)
    return int(match[1]) * _UNITS[match[2] or "ms"] if match else 0.0
