"""Names in braces that nobody fills in are errors of the configuration, each with its key."""

from pathlib import Path
from typing import Any, get_args

import pytest

from backends.consul.balancers import KeyBalancers, ServiceBalancers
from backends.consul.catalog import ConsulService
from backends.consul.settings import ConsulSettings
from backends.errors import ConfigError
from backends.installers.versions import VersionSettings
from backends.kinds import HealthSettings, InstallSettings, ServiceSettings
from backends.templates import NodeShell, NodeText, Placeholders, _templates, wrong_placeholder
from console.config.config_file import load, parse
from tests.support.console_values import raw, write

NAMES = frozenset({"app", "node", "address", "port", "service"})
TEXT, SHELL = Placeholders(NAMES), Placeholders(NAMES, in_shell=True)
EXPECTED = "expected one of: {address}, {app}, {node}, {port}, {service}"

DEPLOY = {"kind": "command", "run": "deploy {version}"}
OF_CONSUL = {"kind": "consul", "service": "s"}
SERVICE = {"kind": "consul-service", "service": "s"}
KEY = {"kind": "consul-key", "key": "k"}
COMMANDS = {"kind": "command", "start": "a", "stop": "b", "status": "c"}
HTTP = {"kind": "http", "url": "http://{address}:{port}/"}
IMAGE = {"kind": "container", "name": "shop", "image": "r/shop", "create": "docker create {name} {image}"}
SYMLINK = {"kind": "symlink", "releases": "/r", "link": "/l"}
ANSIBLE = {"kind": "ansible", "playbook": "p.yml"}
FILE = {"kind": "file", "path": "/v"}


@pytest.mark.parametrize(
    ("table", "fields", "key", "meant"),
    [
        ("health", HTTP | {"url": "http://{adress}:{port}/"}, "health.url", "{address}"),
        ("health", HTTP | {"version_url": "http://{address}:{prot}/"}, "health.version_url", "{port}"),
        ("health", HTTP | {"url": "http://{host}/"}, "health.url", "{address}"),
        ("health", HTTP | {"url": "http://${address}/"}, "health.url", "{address}"),
        ("health", HTTP | {"url": "http://{{address}}/"}, "health.url", "{address}"),
        ("health", HTTP | {"url": "http://{Address}/"}, "health.url", "{address}"),
        ("health", {"kind": "command", "run": "curl http://{adress}/"}, "health.run", "{address}"),
        ("service", {"kind": "monit", "name": "shop-{nod}"}, "service.name", "{node}"),
        ("service", {"kind": "systemd", "name": "shop@{nodes}"}, "service.name", "{node}"),
        ("service", {"kind": "container", "name": "{appp}"}, "service.name", "{app}"),
        ("service", COMMANDS | {"stop": "ctl stop {service_}"}, "service.stop", "{service}"),
        ("service", COMMANDS | {"pid_file": "/run/{nde}.pid"}, "service.pid_file", "{node}"),
        ("install", DEPLOY | {"run": "deploy {verison}"}, "install.run", "{version}"),
        ("install", DEPLOY | {"exists": "x {vresion}"}, "install.exists", "{version}"),
        ("install", DEPLOY | {"prefetch": "x {VERSION}"}, "install.prefetch", "{version}"),
        ("install", SYMLINK | {"releases": "/r/{ap}"}, "install.releases", "{app}"),
        ("install", SYMLINK | {"link": "/r/{servce}"}, "install.link", "{service}"),
        ("install", IMAGE | {"create": "docker create {name} {imgae}"}, "install.create", "{image}"),
        ("install", IMAGE | {"image": "r/{ap}"}, "install.image", "{app}"),
        ("install", ANSIBLE | {"limit": "{noed}"}, "install.limit", "{node}"),
        ("install", ANSIBLE | {"extra": {"to": "{versoin}"}}, "install.extra.to", "{version}"),
        ("version", FILE | {"path": "/opt/{application}/VERSION"}, "version.path", "{app}"),
        ("inventory", OF_CONSUL | {"maintenance": "m {adres}"}, "inventory.maintenance", "{address}"),
    ],
)
def test_what_was_meant_is_named(table: str, fields: dict[str, Any], key: str, meant: str) -> None:
    document = raw(**{table: fields}) | {"consul": {}}
    with pytest.raises(ConfigError) as caught:
        parse(document, "config.toml")
    assert (caught.value.file, caught.value.key) == ("config.toml", f"apps.shop.{key}")
    assert f"did you mean {meant}? expected one of: {{address}}, {{app}}" in caught.value.problem


def test_the_whole_text(tmp_path: Path) -> None:
    text = write(tmp_path).read_text() + '\n[apps.shop.health]\nkind = "http"\nurl = "http://{adress}/"\n'
    with pytest.raises(ConfigError) as caught:
        load(write(tmp_path, text))
    assert str(caught.value) == (
        f"{tmp_path}/config.toml: apps.shop.health.url: found {{adress}}, which is not defined;"
        f" did you mean {{address}}? {EXPECTED}"
    )


@pytest.mark.parametrize(
    ("table", "fields", "key"),
    [
        ("service", COMMANDS | {"stop": "ctl stop {version}"}, "service.stop"),
        ("health", HTTP | {"url": "http://{address}/{version}"}, "health.url"),
        ("service", {"kind": "monit", "name": "{service}"}, "service.name"),
        ("version", {"kind": "command", "run": "ctl {version}"}, "version.run"),
    ],
)
def test_a_name_that_has_no_value_there(table: str, fields: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError, match="which has no value here; expected one of") as caught:
        parse(raw(**{table: fields}), "f")
    assert caught.value.key == f"apps.shop.{key}"


@pytest.mark.parametrize(
    ("fields", "key"),
    [
        ({"access": {"prefix": "docker exec -i {node}"}}, "access.prefix"),
        ({"nodes": {"web1": {"prefix": "docker exec -i {nod}"}}}, "nodes.web1.prefix"),
        ({"service": {"kind": "systemd", "name": "s", "command": "ssh {node} systemctl"}}, "service.command"),
        ({"service": {"kind": "monit", "name": "s", "command": "monit -c /{app}"}}, "service.command"),
        ({"install": {"kind": "apt", "package": "s", "options": "-o A={version}"}}, "install.options"),
        ({"install": IMAGE | {"engine_options": "--root /{app}"}}, "install.engine_options"),
    ],
)
def test_where_nothing_is_filled_in(fields: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError, match="expected a text without names") as caught:
        parse(raw(**fields), "f")
    assert caught.value.key == f"apps.shop.{key}"


def test_what_only_looks_like_a_name_may_stand_there() -> None:
    parse(raw(access={"prefix": "ip netns exec {blue}"}, nodes={"web1": {"prefix": ""}, "web2": {}}), "f")


@pytest.mark.parametrize(
    ("consul", "places", "key"),
    [
        ({"version_key": "v/{app}/{node}/{nod}"}, {}, "consul.version_key"),
        ({}, KEY | {"key": "haproxy/{ap}"}, "apps.shop.load_balancers.key"),
        ({}, KEY | {"socket": "ssh://{host}/{hst}.sock"}, "apps.shop.load_balancers.socket"),
        ({}, SERVICE | {"socket": "ssh://{host}/{x}"}, "apps.shop.load_balancers.socket"),
    ],
)
def test_templates_of_consul(consul: dict[str, Any], places: dict[str, Any], key: str) -> None:
    document = raw(**({"load_balancers": places} if places else {})) | {"consul": consul}
    with pytest.raises(ConfigError, match="which is not defined") as caught:
        parse(document, "f")
    assert caught.value.key == key


@pytest.mark.parametrize(
    "command",
    [
        "awk '{print $1}' x | awk '{print}' | awk '{next}'",
        "echo ${address} ${adress} {a,b} {1..3} {} {",
        "curl -w '%{http_code}' http://{address}:{port}/",
        "docker inspect --format '{{.Adress}} {{address}}' {node}",
        "find . -exec rm {} +; xargs -I{} echo {}",
        "jq '{status}' | jq '{ version }'",
        "{ ctl stop; }",
        "{unknown} {mode_of_it} {id}",
    ],
)
def test_braces_that_a_shell_has_for_itself(command: str) -> None:
    assert wrong_placeholder(command, SHELL) == ""


@pytest.mark.parametrize(
    "text", ["http://{address}:{port}/", "http://[{address}]/{app}/{node}?{service}", "", "plain"]
)
def test_texts_in_order(text: str) -> None:
    assert wrong_placeholder(text, TEXT) == ""
    assert wrong_placeholder(text, SHELL) == ""


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("/srv/{x}", "{x}"),
        ("/srv/{}", "{}"),
        ("/srv/{node", "{node"),
        ("/srv/node}", "}"),
        ("/srv/{ node }", "{ node }"),
        ("/srv/{node-name}", "{node-name}"),
        ("/srv/{a{node}", "{a"),
    ],
)
def test_texts_have_no_other_braces(text: str, found: str) -> None:
    assert wrong_placeholder(text, TEXT).startswith(f"found {found}, which is not defined; ")


def test_every_template_is_declared() -> None:
    """Its docstring calls a field a template, or its adapter fills it."""
    kinds = (ServiceSettings, InstallSettings, VersionSettings, HealthSettings)
    structs = [struct for kind in kinds for struct in get_args(kind)]
    structs += [ConsulService, ConsulSettings, KeyBalancers, ServiceBalancers]
    declared = {(struct.__name__, field) for struct in structs for field in _templates(struct)}
    assert {
        (struct.__name__, field)
        for struct in structs
        for field in struct.__struct_fields__
        if field in ("url", "version_url", "run", "exists", "start", "stop", "status", "pid_file", "path")
        and (struct.__name__, field) != ("HttpHealth", "status")
    } <= declared
    assert ("ContainerInstall", "create") in declared
    assert NodeText != NodeShell
