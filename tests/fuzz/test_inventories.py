"""Inventories in files: TOML, Ansible's INI and YAML with what stands beside them, and host patterns."""

from collections.abc import Mapping
from typing import Any

from hypothesis import example
from hypothesis import strategies as st

from backends.inventories.ansible.command import ListingFailed, decode_listing, decode_value
from backends.inventories.ansible.groups import Groups, expand
from backends.inventories.ansible.node import build_node
from backends.inventories.ansible.parsers import parse_ini, parse_yaml_inventory
from backends.inventories.files import parse_toml
from tests.fuzz.harness import bounded, fuzzed, inert
from tests.fuzz.texts import anything, grown, json_of, lines_of, mostly, text, tree, word

FILE = "inventory"
host = st.sampled_from(
    ["web1", "web2", "web[01:20].example.com", "db-[a:f]:2222", "[::1]:22", "10.0.0.[1:3]"]
)
group = st.sampled_from(["web", "db", "all", "ungrouped", "europe"])
variable = st.sampled_from(
    [
        *("ansible_host", "ansible_port", "ansible_user", "ansible_connection", "ansible_group_priority"),
        *("rolldeck_address", "rolldeck_port", "rolldeck_servers", "other"),
    ]
)


class Nothing:
    """No files beside the inventory."""

    def of_group(self, name: str) -> Mapping[str, Any]:
        return {}

    def of_host(self, name: str) -> Mapping[str, Any]:
        return {}


def nodes(groups: Groups | None) -> object:
    """As `read_ansible` makes them; not of thousands, each of which is checked by itself."""
    if groups is None:
        return None
    found = {
        name: build_node(name, groups.variables_of(name, Nothing()), FILE)
        for name in groups.hosts_of("all")[:50]
    }
    for node in found.values():
        inert(*(node[key] for key in ("ssh", "ssh_user") if key in node))
    return found


@fuzzed(
    content=st.one_of(
        anything,
        lines_of(
            st.one_of(
                st.builds("{} {}={}".format, mostly(host, word), variable, word),
                st.builds(
                    "[{}{}]".format, mostly(group, word), st.sampled_from(["", ":vars", ":children", ":x"])
                ),
                st.builds("{}={}".format, variable, word),
                group,
                text,
            )
        ),
    )
)
@example(content="0" * 1_000_000 + "'")
def test_ini(content: str) -> None:
    bounded(
        lambda: nodes(parse_ini(content, FILE)), 4 * len(content) + 100_000
    )  # a short line means many hosts


hosts = st.dictionaries(mostly(host, text), st.dictionaries(variable, mostly(text)), max_size=3)
groups = st.recursive(
    st.fixed_dictionaries(
        {"hosts": mostly(hosts)}, optional={"vars": st.dictionaries(variable, tree, max_size=2)}
    ),
    lambda inner: st.fixed_dictionaries(
        {"children": mostly(st.dictionaries(mostly(group, text), inner, max_size=3))}
    ),
    max_leaves=4,
)
yaml_pieces = st.sampled_from(
    ["- ", "[", "{a: ", "&a ", "*a", "!!int x", "? ", "a: b\n", "<<: *a\n", "!vault |\n  x\n", "2001-13-01"]
)


@fuzzed(
    content=st.one_of(
        st.dictionaries(mostly(group, text), groups, max_size=3).map(json_of),
        tree.map(json_of),
        grown(st.one_of(yaml_pieces, word), st.lists(yaml_pieces, max_size=5).map("".join)),
    )
)
def test_yaml(content: str) -> None:
    bounded(lambda: nodes(parse_yaml_inventory(content, FILE)), len(content) + 100_000)


@fuzzed(
    content=st.one_of(
        anything,
        lines_of(st.builds("{} = {}".format, word, st.one_of(word, tree.map(json_of)))),
        grown(st.sampled_from(["[", "a=[", "{a=", "[a.b]\n", "[[a]]\n", "a.", "1_", '"""'])),
    )
)
@example(content="a." * 20_000 + "a = 1")
@example(content="x = {" + '"a" . ' * 20_000 + "a = 1}")
@example(content='"' + "a" * 100_000)
@example(content="['" + "a" * 100_000)
def test_toml(content: str) -> None:
    bounded(lambda: parse_toml(content, FILE), len(content), RecursionError)


@fuzzed(
    pattern=st.one_of(
        mostly(host, text), anything, grown(st.sampled_from(["[1:2]", "[", "]", ":", "[a:b:1]"]))
    )
)
def test_host_patterns(pattern: str) -> None:
    bounded(lambda: expand(pattern), len(pattern) + 20_000, ValueError)


json_group = st.fixed_dictionaries(
    {}, optional={name: st.lists(mostly(group, text), max_size=3) for name in ("hosts", "children")}
)
marks = st.sampled_from([{"__ansible_unsafe": "{{ a }}"}, {"__ansible_vault": "x"}, {"__ansible_unsafe": 1}])
json_meta = st.fixed_dictionaries(
    {"hostvars": st.dictionaries(group, st.dictionaries(variable, mostly(marks, tree), max_size=3))}
)


def listing(content: str) -> object:
    found = decode_listing(content.encode(errors="replace"), content, FILE)
    for name in found.groups.hosts_of("all")[:50]:
        variables = {key: decode_value(value) for key, value in found.variables.get(name, {}).items()}
        build_node(name, variables, FILE, hide_values=True)
    return None


@fuzzed(
    content=st.one_of(
        st.dictionaries(mostly(group, text), mostly(json_group, tree), max_size=3).map(json_of),
        st.builds(
            lambda meta, groups: json_of({"_meta": meta, **groups}),
            mostly(json_meta, tree),
            st.dictionaries(group, json_group, max_size=3),
        ),
        anything,
    )
)
def test_listings_of_ansible(content: str) -> None:
    bounded(lambda: listing(content), 4 * len(content) + 100_000, ListingFailed)


@fuzzed(variables=st.dictionaries(variable, mostly(text), max_size=6))
def test_variables_of_a_host(variables: dict[str, Any]) -> None:
    bounded(lambda: build_node("web1", variables, FILE), len(str(variables)) if len(variables) < 3 else 1_000)
