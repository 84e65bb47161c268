"""How hosts of Ansible's inventories become nodes, with their variables and those in files beside."""

from pathlib import Path

import pytest

from orchestrator.inventory.source import NodeSettings
from tests.unit.inventories import loaded, refused


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
def test_a_variable_that_cannot_be_honored_is_refused(tmp_path: Path, variables: str, error: str) -> None:
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
