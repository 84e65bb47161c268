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
from orchestrator.inventory.source import NodeSettings
from tests.unit.inventories import loaded, refused

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


def test_a_host_becomes_a_node(tmp_path: Path) -> None:
    nodes = loaded(
        tmp_path,
        "[shop]\nweb1\nweb2 ansible_host=10.0.0.12 ansible_port=2222 ansible_user=deploy rolldeck_port=8081\n"
        "web3 ansible_host=jump3 rolldeck_address=10.0.0.13 rolldeck_servers='s3, api/s3'\n"
        "web4 ansible_connection=local\n"
        "web5 ansible_ssh_host=10.0.0.15 ansible_ssh_user=007 ansible_ssh_port='22'\n"
        "web6 ansible_user=a ansible_ssh_user=a ansible_connection=ansible.builtin.ssh\n",
    )
    assert nodes == {
        "web1": NodeSettings(address="web1"),
        "web2": NodeSettings(address="10.0.0.12", port=8081, ssh_user="deploy", ssh_port=2222),
        "web3": NodeSettings(address="10.0.0.13", ssh="jump3", servers=["s3", "api/s3"]),
        "web4": NodeSettings(address="web4", transport="local"),
        "web5": NodeSettings(address="10.0.0.15", ssh_user="007", ssh_port=22),
        "web6": NodeSettings(address="web6", ssh_user="a"),
    }


@pytest.mark.parametrize(
    ("variables", "error"),
    [
        ("ansible_port=x", "ansible_port: found 'x', expected 1 to 65535"),
        ("ansible_port=0", "ansible_port: found 0, expected 1 to 65535"),
        ("ansible_port=22.5", "ansible_port: found 22.5, expected"),
        ("ansible_port=True", "ansible_port: found true, expected"),
        ("rolldeck_port=99999", "rolldeck_port: found 99999, expected 1 to 65535"),
        (f"rolldeck_port={'9' * 900}", "rolldeck_port: found a whole number of more than 64 bits"),
        ("ansible_host='{{ x }}'", "ansible_host: found '{{ x }}', but this host has no variable x"),
        (
            "ansible_host='{{ inventory_hostname | lower }}'",
            "ansible_host: found '{{ inventory_hostname | lower }}', expected a plain value, or variables"
            " such as {{ NAME }} alone: only Ansible itself knows filters, expressions and statements",
        ),
        ("ansible_host='{{ a.b }}'", "ansible_host: found '{{ a.b }}', expected a plain value, or variables"),
        ("ansible_host='{{ 1 + 1 }}'", "ansible_host: found '{{ 1 + 1 }}', expected a plain value, or"),
        ("ansible_host='x{# y #}'", "ansible_host: found 'x{# y #}', expected a plain value, or variables"),
        (
            "a='{{ b }}' b='{{ a }}x' ansible_host='{{ a }}'",
            "ansible_host: found '{{ a }}x', but a leads back",
        ),
        (
            "ansible_host='{{ ansible_host }}'",
            "ansible_host: found '{{ ansible_host }}', but ansible_host leads back to itself",
        ),
        ("a='$(reboot)' ansible_host='{{ a }}.test'", "ansible_host: '$(reboot).test' cannot be used"),
        ("ansible_user='{% if x %}'", "ansible_user: found '{% if x %}', expected a plain value"),
        ("ansible_port='{{ x }}'", "ansible_port: found '{{ x }}', but this host has no variable x"),
        ("x=abc ansible_port='{{ x }}'", "ansible_port: found 'abc', expected 1 to 65535"),
        ("ansible_host=$(reboot)", "ansible_host: '$(reboot)' cannot be used: expected letters"),
        ("ansible_host=-oProxyCommand=x", "ansible_host: '-oProxyCommand=x' cannot be used"),
        ("ansible_host=", "ansible_host: '' cannot be used"),
        ("ansible_user='a;b'", "ansible_user: 'a;b' cannot be used"),
        ("ansible_user=[1]", "ansible_user: found a list, expected a text"),
        ("rolldeck_address='a b'", "rolldeck_address: 'a b' cannot be used"),
        ("rolldeck_servers=,", "rolldeck_servers: found a list, expected names with commas between"),
        ("ansible_connection=winrm", "ansible_connection: found 'winrm', expected one of: ssh, "),
        ("ansible_user=a ansible_ssh_user=b", "ansible_ssh_user: found 'b', but ansible_user is 'a'"),
    ],
)
def test_a_variable_that_cannot_be_honoured_is_refused(tmp_path: Path, variables: str, error: str) -> None:
    found = refused(tmp_path, f"[shop]\nweb1 {variables}\n")
    assert found.startswith(f"{tmp_path / 'hosts.ini'}: web1.{error}")


def test_variables_in_braces_are_filled_in(tmp_path: Path) -> None:
    text = (
        "[shop]\nweb1\nweb2.eu zone=eu\nweb3 ansible_host='10.0.0.{{number}}' number=13\n"
        "web4 ansible_host='{{- alias -}}' alias='{{ inventory_hostname_short }}'\n"
        '[shop:vars]\ndomain = "example.com"\nzone=us\n'
        "full={{ inventory_hostname }}.{{ zone }}.{{ domain }}\n"
        "ansible_host={{ full }}\nansible_user=deploy-{{ zone }}\nssh=2222\nansible_port={{ ssh }}\n"
        "[all:vars]\nzone=nowhere\n"
    )
    assert loaded(tmp_path, text) == {
        "web1": NodeSettings(address="web1.us.example.com", ssh_user="deploy-us", ssh_port=2222),
        "web2.eu": NodeSettings(address="web2.eu.eu.example.com", ssh_user="deploy-eu", ssh_port=2222),
        "web3": NodeSettings(address="10.0.0.13", ssh_user="deploy-us", ssh_port=2222),
        "web4": NodeSettings(address="web4", ssh_user="deploy-us", ssh_port=2222),
    }


def test_variables_in_files_beside_are_filled_in_too(tmp_path: Path) -> None:
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars" / "all.yml").write_text("domain: example.com\nport: 2222\nlist: [1]\n")
    text = "shop:\n  hosts:\n    web1:\n  vars:\n    ansible_host: '{}'\n    ansible_port: '{{{{ port }}}}'\n"
    nodes = loaded(tmp_path, text.format("{{ inventory_hostname }}.{{ domain }}"), name="hosts.yml")
    assert nodes == {"web1": NodeSettings(address="web1.example.com", ssh_port=2222)}
    found = refused(tmp_path, text.format("x{{ list }}"), name="hosts.yml")
    assert "ansible_host: found 'x{{ list }}', but list is a list, expected a text" in found
    vaulted = "a: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  6162\n"
    (tmp_path / "group_vars" / "shop.yml").write_text(vaulted)
    found = refused(tmp_path, text.format("{{ a }}"), name="hosts.yml")
    assert "found '{{ a }}', but a is encrypted with Ansible's vault" in found


def test_templates_in_templates_do_not_grow_without_end(tmp_path: Path) -> None:
    doubling = " ".join(f"v{n}='{{{{v{n + 1}}}}}{{{{v{n + 1}}}}}'" for n in range(40))
    found = refused(tmp_path, f"[shop]\nweb1 {doubling} v40=x ansible_host='{{{{ v0 }}}}'\n")
    assert "expected at most 100 variables in it" in found


@pytest.mark.parametrize(
    ("text", "nodes"),
    [
        ("all:\n  children:\n    shop:\n      hosts:\n        web1: {ansible_port: 2222}\n", {"web1": 2222}),
        ("---\n# a comment\nshop:\n  hosts:\n    web1:\n", {"web1": 0}),
        ('{"shop": {"hosts": {"web1": {}}}}', {"web1": 0}),
        ("[shop]\nweb1 ansible_port=2222\n", {"web1": 2222}),
        ("lone\n[shop]\nweb1\n", {"web1": 0}),
        ("web1:2222\n[shop]\nweb1\n", {"web1": 2222}),
    ],
)
def test_without_an_ending_it_is_yaml_if_it_is_that(tmp_path: Path, text: str, nodes: dict[str, int]) -> None:
    found = loaded(tmp_path, text, name="hosts")
    assert {name: node.ssh_port for name, node in found.items()} == nodes


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("all:\n  hosts:\n    web1: {\n", "hosts: line 4: is not YAML"),
        ("all:\n  host:\n    web1:\n", "hosts: all.host: unknown key; expected one of"),
        ("---\nall: 3\n", "hosts: all: found 3, expected a mapping"),
        ("[shop]\nweb1 ansible_port\n", "hosts: line 2: found 'ansible_port', expected NAME=VALUE"),
        ("web1 a=b:c\n[shop:x]\n", "hosts: line 2: found a section of 'x'"),
    ],
)
def test_the_error_is_that_of_the_form_it_was_meant_to_have(tmp_path: Path, text: str, error: str) -> None:
    assert error in refused(tmp_path, text, name="hosts")


def test_another_ending_is_ini(tmp_path: Path) -> None:
    found = refused(tmp_path, "all:\n  hosts:\n    web1:\n", name="hosts.prod")
    assert "hosts.prod: line 1: found 'all:', expected a host" in found


def test_vaulted_values_are_refused_only_where_they_are_needed(tmp_path: Path) -> None:
    vaulted = "!vault |\n    $ANSIBLE_VAULT;1.1;AES256\n    6162\n"
    text = "shop:\n hosts:\n  web1:\n   {}: " + vaulted
    nodes = loaded(tmp_path, text.format("secret"), name="hosts.yml")
    assert nodes == {"web1": NodeSettings(address="web1")}
    found = refused(tmp_path, text.format("ansible_user"), name="hosts.yml")
    assert found.endswith(
        "hosts.yml: web1.ansible_user: is encrypted with Ansible's vault, expected a plain value"
    )
    found = refused(
        tmp_path, "shop: {hosts: {web1: {ansible_host: !unsafe '{{ a }}', a: b}}}", name="hosts.yml"
    )
    assert "web1.ansible_host: '{{ a }}' cannot be used" in found, "it is no template"
    assert refused(tmp_path, "shop: {hosts: {web1: {ansible_user: [a]}}}", name="hosts.yml").endswith(
        "web1.ansible_user: found a list, expected a text"
    )


def test_the_hosts_of_other_groups_may_say_what_they_like(tmp_path: Path) -> None:
    nodes = loaded(tmp_path, "[shop]\nweb1\n[db]\nd$1 ansible_host='{{ x }}' ansible_port=x\n")
    assert list(nodes) == ["web1"]


def test_variables_beside_the_inventory_count_as_in_ansible(tmp_path: Path) -> None:
    """Those of groups after all that the inventory says of groups, those of hosts last of all."""
    files = {
        "group_vars/all/x.yml": "ansible_user: allfile\nansible_host: 9.9.9.9\n",
        "group_vars/all/y.yml": "ansible_port: 5\n",
        "group_vars/all/vault.yml": "$ANSIBLE_VAULT;1.1;AES256\n6162\n",
        "group_vars/all/.hidden.yml": "ansible_user: hidden\n",
        "group_vars/all/notes.txt": "ansible_user: notes\n",
        "group_vars/shop.yml": "ansible_port: 6\n",
        "group_vars/outer": "ansible_port: 8\n",
        "group_vars/empty.yml": "",
        "host_vars/a.json": '{"ansible_user": "hv"}',
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    inventory = (
        "[shop]\na ansible_user=inv\nb\n"
        "[shop:vars]\nansible_user=gi\nansible_port=7\n"
        "[outer:children]\nshop\n"
    )
    assert loaded(tmp_path, inventory) == {
        "a": NodeSettings(address="9.9.9.9", ssh_user="hv", ssh_port=6),
        "b": NodeSettings(address="9.9.9.9", ssh_user="allfile", ssh_port=6),
    }
    (tmp_path / "group_vars/shop.yml").write_text("- a list")
    assert refused(tmp_path, inventory).endswith(
        "group_vars/shop.yml: expected variables: a mapping of names to values"
    )
    (tmp_path / "group_vars/shop.yml").write_text("a: 1\n b: 2")
    assert "group_vars/shop.yml: line 2: is not YAML" in refused(tmp_path, inventory)
