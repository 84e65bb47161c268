"""Ansible's inventories: which hosts a group has, and which of several values wins.

What is expected here is what `ansible-inventory --list` of ansible-core 2.18 says of the same texts.
"""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backends.errors import ConfigError
from backends.inventories.ansible.groups import Groups
from backends.inventories.ansible.parsers import parse_ini, parse_yaml_inventory
from backends.inventories.ansible.source import VariableFiles

NOTHING = VariableFiles(Path("/nowhere"))

INI = """\
lone ansible_host=10.9.9.9   # before the first group
; a comment

[web]
w[1:3]
[db]
d1 ansible_user=own

[app:children]   # its groups come later, or before
web
mid
[app]
own1
[mid:children]
db
[app:vars]
ansible_user = app
ansible_port=2200
[db:vars]
ansible_user=db
rolldeck_port=5432
[all:vars]
ansible_user=all
"""

YAML = """\
all:
  hosts:
    lone: {ansible_host: 10.9.9.9}
  vars: {ansible_user: all}
  children:
    app:
      hosts:
        own1:
      vars: {ansible_user: app, ansible_port: 2200}
      children:
        web: {hosts: {"w[1:3]": }}
        mid:
          children:
            db:
              hosts: {d1: {ansible_user: own}}
              vars: {ansible_user: db, rolldeck_port: 5432}
"""


def ini(text: str) -> Groups:
    return parse_ini(text, "hosts.ini")


def yml(text: str) -> Groups:
    return parse_yaml_inventory(text, "hosts.yml")


@pytest.mark.parametrize("groups", [ini(INI), yml(YAML)], ids=["ini", "yaml"])
def test_groups_in_groups_and_their_variables(groups: Groups) -> None:
    assert groups.hosts_of("app") == ["own1", "w1", "w2", "w3", "d1"], "its own first, then level by level"
    assert groups.hosts_of("mid") == ["d1"]
    assert groups.hosts_of("all") == ["lone", "own1", "w1", "w2", "w3", "d1"]
    assert groups.variables_of("w2", NOTHING) == {"ansible_user": "app", "ansible_port": 2200}
    assert groups.variables_of("d1", NOTHING) == {
        "ansible_user": "own",
        "ansible_port": 2200,
        "rolldeck_port": 5432,
    }
    assert groups.variables_of("lone", NOTHING) == {"ansible_user": "all", "ansible_host": "10.9.9.9"}


@pytest.mark.parametrize(
    ("text", "host", "expected"),
    [
        # quotes, comments and numbers
        ("""a ansible_user="x" ansible_port="22" # y""", "a", {"ansible_user": "x", "ansible_port": 22}),
        ("""a ansible_user='"007"' ansible_port=0x16""", "a", {"ansible_user": "007", "ansible_port": 22}),
        ("a ansible_user=x#y", "a", {"ansible_user": "x"}),
        ("a\n[all:vars]\nansible_user='x'  # y", "a", {"ansible_user": "x"}),
        ("a\n[all:vars]\nansible_port = 22 # y", "a", {"ansible_port": 22}),
        ("a\n[all:vars]\nansible_user = x # y", "a", {"ansible_user": "x # y"}),
        ("a\n[all:vars]\nother = [1, ", "a", {"other": "[1,"}),
        # the same host again
        ("a:2222 x=1\n[g]\na:3333 x=2\n[h]\na y=3", "a", {"ansible_port": 2222, "x": "2", "y": "3"}),
        ("a:2222 ansible_port=9", "a", {"ansible_port": 9}),
        ("a\n[g]\na:3333", "a", {}),
        # of groups at the same depth the later in the alphabet, unless priorities say otherwise
        ("[b]\nh\n[a]\nh\n[a:vars]\nx=a\n[b:vars]\nx=b", "h", {"x": "b"}),
        (
            "[b]\nh\n[a]\nh\n[a:vars]\nx=a\nansible_group_priority=10\n[b:vars]\nx=b",
            "h",
            {"x": "a", "ansible_group_priority": 10},
        ),
        # a deeper group wins, whichever way is the longest
        ("[a]\nh\n[z]\nh\n[y:children]\na\n[a:vars]\nx=a\n[z:vars]\nx=z", "h", {"x": "a"}),
        # ungrouped is a group as well, of those that are in no other
        ("h\n[g]\ni\n[ungrouped:vars]\nx=1", "h", {"x": "1"}),
        ("h\ni\n[g]\ni\n[ungrouped:vars]\nx=1", "i", {}),
    ],
)
def test_which_value_wins(text: str, host: str, expected: dict[str, Any]) -> None:
    assert ini(text).variables_of(host, NOTHING) == expected


def test_the_groups_that_there_always_are() -> None:
    groups = ini("a\nb\n[g]\nb\nc\n")
    assert groups.hosts_of("ungrouped") == ["a"]
    assert groups.hosts_of("all") == ["a", "b", "c"]
    groups = yml("all: {hosts: {b: , a: }, children: {g: {hosts: {b: }}}}")
    assert (groups.hosts_of("ungrouped"), groups.hosts_of("all")) == (["a"], ["b", "a"])


def test_yaml_takes_a_name_alone_and_merge_keys_and_the_order_of_the_file() -> None:
    groups = yml("all: {hosts: a, children: g}")
    assert (groups.hosts_of("all"), groups.variables_of("a", NOTHING)) == (["a"], {})
    groups = yml("x: {vars: &v {ansible_user: u}, hosts: {a: {<<: *v, ansible_port: 3}}}")
    assert groups.variables_of("a", NOTHING) == {"ansible_user": "u", "ansible_port": 3}
    groups = yml("x: {children: {y: {hosts: {a: {n: 1}}}}, hosts: {a: {n: 2}}}")
    assert groups.variables_of("a", NOTHING) == {"n": 2}


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("[g:foo]\n", "line 1: found a section of 'foo', expected one of: hosts, children, vars"),
        ("\n[my group]\n", "line 2: found '[my group]', expected [GROUP], [GROUP:vars] or [GROUP:children]"),
        ("[g]\nh x", "line 2: found 'x', expected NAME=VALUE behind the host"),
        ('[g]\nh x="y', "line 2: found 'h x=\"y', expected a host with closed quotes"),
        ("[g]\nh\n[g:vars]\nx", "line 4: found 'x', expected NAME=VALUE"),
        ("[g]\nh[3:1]", "line 2: found the range [3:1]"),
        ("[g]\nh[1:30000]", "line 2: the range [1:30000] means 30000 hosts"),
        ("[g]\na[1:15000]\nb[1:15000]", "line 3: found too many hosts, expected at most 20000"),
        ("[g]\n" + "a[1:20000]\n" * 60, "line 52: found too many hosts"),
        ("[p:children]\nq\n", "line 2: no group 'q', expected a section [q]"),
        ("[p:vars]\nq=1\n", "line 1: no group 'p', expected a section [p]"),
        ("[p:children]\na b\n", "line 2: found 'a b', expected the name of a group"),
        ("[a:children]\na\n", "groups contain each other: a → a"),
        ("[a:children]\nb\n[b:children]\na\n", "groups contain each other: a → b → a"),
        ("[a:children]\nall\n", "groups contain each other: "),
        ("#!/usr/bin/env python3\n", "line 1: found a program or YAML"),
        ("---\nall:\n", "line 1: found a program or YAML"),
    ],
)
def test_what_is_no_inventory_in_ini(text: str, error: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ini(text)
    assert str(caught.value).startswith(f"hosts.ini: {error}")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "found nothing, expected groups, such as `all:`"),
        ("[]", "found a list, expected groups"),
        ("x", "found 'x', expected groups"),
        ("all: [", "line "),
        ("all: {a: b: c}", "line 1: is not YAML: "),
        ("a: 1\n b: 2", "line 2: is not YAML: "),
        ("all: {}\n---\nall: {}", "line 2: is not YAML: but found another document"),
        ("all: {hosts: {a: , b: , a: }}", "line 1: is not YAML: the key 'a' is in one mapping twice"),
        ("all: {hosts: [a, b]}", "all.hosts: found a list, expected a mapping: each name with a colon"),
        ("all: {hosts: {1: }}", "all.hosts: found 1, expected the name of a host, in quotes"),
        ("all: {hosts: {a: 3}}", "all.hosts.a: found 3, expected a mapping"),
        ("all: {hosts: {'a[2:1]': }}", "all.hosts: found the range [2:1]"),
        ("all: {host: {a: }}", "all.host: unknown key; expected one of: hosts, vars, children"),
        ("all: {vars: x}", "all.vars: found 'x', expected a mapping"),
        ("all: {children: {g: 3}}", "all.children.g: found 3, expected a mapping"),
        ("no: {hosts: {a: }}", "the top: found false, expected the name of a group, in quotes"),
        ("plugin: amazon.aws.aws_ec2", "plugin: found the settings of an inventory plugin"),
        ("a: {children: {b: {children: {a: }}}}", "groups contain each other: a → b → a"),
        ("a: &a {children: {b: *a}}", "its groups are nested too deep, or contain themselves"),
        ("[" * 100_000, ""),
        (
            "a: !!python/object/apply:os.system [true]",
            "line 1: is not YAML: could not determine a constructor",
        ),
        ("a: !!int x", "is not YAML: a value in it does not fit its type"),
        ("a: 2026-13-01", "is not YAML: a value in it does not fit its type"),
        ("? [a]\n: b", "line 1: is not YAML: "),
        (f"? 0x{'f' * 9000}\n: {{}}", "the top: found a whole number of more than 64 bits"),
        ("a: \x00", "is not YAML: "),
    ],
)
def test_what_is_no_inventory_in_yaml(text: str, error: str) -> None:
    with pytest.raises(ConfigError) as caught:
        yml(text)
    assert str(caught.value).startswith(f"hosts.yml: {error}")


def test_aliases_may_grow_no_groups_without_end() -> None:
    groups = "g0: &a0 {}\n" + "".join(
        f"g{n}: &a{n} {{children: {{{', '.join(f'c{n}{k}: *a{n - 1}' for k in range(9))}}}}}\n"
        for n in range(1, 12)
    )
    with pytest.raises(ConfigError, match="found too many groups, expected at most 100000"):
        yml(groups)


def test_a_merged_mapping_may_be_merged_again() -> None:
    text = "a: {vars: &x {n: 1, o: 1}}\nb: {vars: &y {<<: *x, n: 2}}\nc: {vars: {<<: *y, o: 3}, hosts: {h: }}"
    assert yml(text).variables_of("h", NOTHING) == {"n": 2, "o": 3}


@settings(deadline=None)
@given(st.text("[]:=#;'\"\\ \n\t0aghb{}", max_size=40) | st.text(max_size=20))
def test_any_text_is_an_inventory_or_an_error_in_ini(text: str) -> None:
    _hosts_or_error(ini, text)


@settings(deadline=None)
@given(st.text("[]:{}&*!<>|-? \n'\"a0", max_size=40) | st.text(max_size=20))
def test_any_text_is_an_inventory_or_an_error_in_yaml(text: str) -> None:
    _hosts_or_error(yml, text)


def _hosts_or_error(parse: Callable[[str], Groups], text: str) -> None:
    with suppress(ConfigError):
        groups = parse(text)
        for host in groups.hosts_of("all"):
            assert isinstance(groups.variables_of(host, NOTHING), dict)
