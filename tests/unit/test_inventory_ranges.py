"""Host patterns of Ansible: what they mean, and what is none. Compared with ansible-core 2.18."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.inventories.ansible.groups import expand
from backends.inventories.files import MOST_NODES


@pytest.mark.parametrize(
    ("pattern", "names", "port"),
    [
        ("web1", ["web1"], 0),
        ("web1.example.com:2222", ["web1.example.com"], 2222),
        ("web[1:3]", ["web1", "web2", "web3"], 0),
        ("web[08:11]-x:22", ["web08-x", "web09-x", "web10-x", "web11-x"], 22),
        ("web[8:11]", ["web8", "web9", "web10", "web11"], 0),
        ("web[:2]", ["web0", "web1", "web2"], 0),
        ("web[0:2]", ["web0", "web1", "web2"], 0),
        ("web[1:9:4]", ["web1", "web5", "web9"], 0),
        ("web[01:06:4]", ["web01", "web05"], 0),
        ("web[a:c]", ["weba", "webb", "webc"], 0),
        ("web[A:C:2]", ["webA", "webC"], 0),
        ("[a:b]x[1:2]", ["ax1", "ax2", "bx1", "bx2"], 0),
        ("10.0.0.[1:2]:22", ["10.0.0.1", "10.0.0.2"], 22),
        ("2001:db8::2", ["2001:db8::2"], 0),
        ("2001:db8::[1:2]", ["2001:db8::1", "2001:db8::2"], 0),
        ("[2001:db8::1]:2222", ["2001:db8::1"], 2222),
    ],
)
def test_what_a_pattern_means(pattern: str, names: list[str], port: int) -> None:
    assert expand(pattern) == (names, port)


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("web1:", "found 'web1:', expected a host, HOST:PORT or [IPv6]:PORT"),
        ("web1:ssh", "expected a host, HOST:PORT"),
        ("web1:0", "found port 0 in 'web1:0', expected 1 to 65535"),
        ("web1:65536", "found port 65536"),
        ("web[1]", "found the range [1], expected one such as [1:20], [01:20:2] or [a:f]"),
        ("web[1-3]", "found the range [1-3]"),
        ("web[1:2:3:4]", "found the range [1:2:3:4]"),
        ("web[1:]", "found the range [1:]"),
        ("web[]", "found the range []"),
        ("web[aa:ac]", "found the range [aa:ac]"),
        ("web[a:3]", "found the range [a:3], expected two numbers or two letters"),
        ("web[3:1]", "expected a begin before its end"),
        ("web[c:a]", "expected a begin before its end"),
        ("web[1:3:0]", "a step of 1 or more"),
        ("web[01:100]", "expected as many digits on both sides"),
        ("web[1:3", "found 'web[1:3', expected each [ with its ]"),
        ("web1:3]", "expected each [ with its ]"),
        ("web[[1:3]]", "expected each [ with its ]"),
        ("web[1:20001]", "the range [1:20001] means 20001 hosts, expected at most 20000"),
        ("web[1:999999999]", "means 999999999 hosts"),
        ("web[1:9999999999]", "found the range"),
        ("web[1:1000][1:1000]", "means 1000000 hosts, expected at most 20000"),
        ("web" + "[1:20000]" * 100, "hosts, expected at most 20000"),
        ("web[\u0663:\u0665]", "found the range"),
    ],
)
def test_what_is_no_pattern(pattern: str, problem: str) -> None:
    with pytest.raises(ValueError, match=re.escape(problem)):
        expand(pattern)


@given(st.integers(0, 999), st.integers(0, 200), st.integers(1, 50), st.integers(0, 4))
def test_a_range_of_numbers_is_pythons(begin: int, length: int, step: int, width: int) -> None:
    end = begin + length
    first, last = str(begin).zfill(width), str(end).zfill(width)
    padded = len(first) if first[0] == "0" and len(first) > 1 else 0
    if padded and len(first) != len(last):
        return
    names, port = expand(f"web[{first}:{last}:{step}].x:22")
    assert names == [f"web{str(number).zfill(padded)}.x" for number in range(begin, end + 1, step)]
    assert port == 22


@given(st.text("web01:[]-. \u0663\n", max_size=14))
def test_any_text_means_hosts_or_is_refused(text: str) -> None:
    try:
        names, port = expand(text)
    except ValueError:
        return
    assert 1 <= len(names) <= MOST_NODES
    assert 0 <= port <= 65535
    assert not any(set("[]") & set(name) for name in names)
