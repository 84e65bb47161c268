"""Host patterns of Ansible's inventories: `web[01:20].example.com:2222`. Pure.

https://docs.ansible.com/ansible/latest/inventory_guide/intro_inventory.html#adding-ranges-of-hosts
"""

import math
import re
import string
from itertools import product

from backends.inert import is_address
from backends.inventories.common import MOST_NODES

_RANGE = re.compile(r"\[([^\[\]]*)\]")
_BOUNDS = re.compile(r"(\d{0,9}|[A-Za-z]):(\d{1,9}|[A-Za-z])(?::(\d{1,9}))?", re.ASCII)
_PORT = re.compile(r"((?:[^:\[\]]|\[[^\[\]]*\])+):(\d{1,5})", re.ASCII)
_PORT_OF_ADDRESS = re.compile(r"\[([0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*)\]:(\d{1,5})", re.ASCII)


def expand(pattern: str) -> tuple[list[str], int]:
    """Return the hosts that a pattern means, and the SSH port at its end, 0 without.

    Raises:
        ValueError: it is no such pattern, or means more than 20,000 hosts.
    """
    match = _PORT_OF_ADDRESS.fullmatch(pattern) or _PORT.fullmatch(pattern)
    hosts, port = (match[1], int(match[2])) if match else (pattern, 0)
    if match and not 1 <= port <= 65535:
        raise ValueError(f"found port {port} in {_quote(pattern)}, expected 1 to 65535")
    names = _expand_ranges(hosts)
    if ":" in names[0] and not is_address(names[0]):
        raise ValueError(f"found {_quote(pattern)}, expected a host, HOST:PORT or [IPv6]:PORT")
    return names, port


def _expand_ranges(pattern: str) -> list[str]:
    *parts, tail = _RANGE.split(pattern)
    if "[" in tail or "]" in tail or any(set("[]") & set(part) for part in parts[::2]):
        raise ValueError(f"found {_quote(pattern)}, expected each [ with its ]")
    heads, ranges = parts[::2], [_expand_range(part) for part in parts[1::2]]
    if (count := math.prod(map(len, ranges))) > MOST_NODES:
        raise ValueError(f"{_quote(pattern)} means {count} hosts, expected at most {MOST_NODES}")
    return [
        "".join(head + part for head, part in zip(heads, chosen, strict=True)) + tail
        for chosen in product(*ranges)
    ]


def _expand_range(text: str) -> list[str]:
    """Expand what stands between brackets: `1:20`, `01:20` or `a:f`, perhaps with a step behind it."""
    match = _BOUNDS.fullmatch(text)
    if not match:
        raise ValueError(f"found the range [{text[:80]}], expected one such as [1:20], [01:20:2] or [a:f]")
    first, last, step = match[1] or "0", match[2], int(match[3] or 1)
    if first.isdigit() is not last.isdigit():
        raise ValueError(f"found the range [{text}], expected two numbers or two letters")
    if not first.isdigit():
        begin, end = string.ascii_letters.index(first), string.ascii_letters.index(last)
    else:
        begin, end = int(first), int(last)
    if begin > end or not step:
        raise ValueError(f"found the range [{text}], expected a begin before its end, a step of 1 or more")
    numbers = range(begin, end + 1, step)
    if not first.isdigit():
        return [string.ascii_letters[number] for number in numbers]
    padded = first[0] == "0" and len(first) > 1
    if padded and len(first) != len(last):
        raise ValueError(f"found the range [{text}], expected as many digits on both sides")
    if len(numbers) > MOST_NODES:
        raise ValueError(f"the range [{text}] means {len(numbers)} hosts, expected at most {MOST_NODES}")
    return [str(number).zfill(len(first) if padded else 0) for number in numbers]


def _quote(pattern: str) -> str:
    return repr(pattern[:80])
