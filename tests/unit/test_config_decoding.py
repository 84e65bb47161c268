"""Wrong configurations: each error names the key, what was found and what was expected."""

import datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backends.consul.catalog import ConsulService
from backends.errors import ConfigError
from backends.health.checks import HealthKind
from backends.kinds import HealthSettings
from console.config.config_file import Config, parse
from console.config.decoding import decode
from console.config.explanation import RENAMED_KEYS
from tests.support.console_values import raw

APP = "apps.shop"
URL = "http://{address}:{port}/health"


def refused(document: dict[str, Any]) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        parse(document, "config.toml")
    error = caught.value
    assert error.file == "config.toml"
    for jargon in ("`$", "Object", "`int`", "`str`", "`array`", "got `", "datetime", "{'"):
        assert jargon not in str(error)
    return error


def top(**tables: Any) -> dict[str, Any]:
    return {**raw(), **tables}


@pytest.mark.parametrize(
    ("document", "key", "problem"),
    [
        (
            top(app={}),
            "app",
            "unknown key; did you mean 'apps'? expected one of: console, ",
        ),
        (top(haproxy="x"), "haproxy", "found 'x', expected a table of named tables"),
        (top(haproxy=[{"socket": "x"}]), "haproxy", "found a list, expected a table of named tables"),
        (top(haproxy={}), "haproxy", "found none, expected at least one [haproxy.NAME] table"),
        (top(haproxy={"lb1": "unix:///x"}), "haproxy.lb1", "found 'unix:///x', expected a table"),
        (top(haproxy={"a b": {"socket": "unix:///x"}}), "haproxy", "'a b' cannot be used"),
        (top(haproxy={"lb1": {"socket": "unix:x"}}), "haproxy.lb1.socket", "'unix:x': expected \"unix:///"),
        (
            top(haproxy={"lb1": {"socket": "tcp://h:99999"}}),
            "haproxy.lb1.socket",
            "the port is not a number from 1",
        ),
        (top(haproxy={"lb1": {}}), "haproxy.lb1", "expected exactly one of `socket` and `stats_url`"),
        (top(apps=3), "apps", "found 3, expected a table of named tables"),
        (top(apps={}), "apps", "found none, expected at least one [apps.NAME] table"),
        (top(apps={"shop": "x"}), APP, "found 'x', expected a table"),
        (top(apps={"a/b": raw()["apps"]["shop"]}), "apps", "'a/b' cannot be used"),
        (top(ssh=datetime.date(2026, 1, 2)), "ssh", "found the date or time 2026-01-02, expected a table"),
        (top(ssh={"prt": 22}), "ssh.prt", "unknown key; did you mean 'port'? expected one of: concurrency"),
        (top(ssh={"port": "22"}), "ssh.port", "found '22', expected a whole number"),
        (top(ssh={"port": 2**70}), "ssh.port", "found a whole number of more than 64 bits"),
        (top(ssh={"port": 10**5000}), "ssh.port", "found a whole number of more than 64 bits"),
        (
            top(ssh={"login_timeout": float("nan")}),
            "ssh.login_timeout",
            "found nan, expected a finite number",
        ),
    ],
)
def test_of_the_whole_document(document: dict[str, Any], key: str, problem: str) -> None:
    error = refused(document)
    assert (error.key, problem in error.problem) == (key, True), str(error)


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("backends", None, "missing; it has no default"),
        ("backends", "shop", "found 'shop', expected a list"),
        ("backends", [], "found an empty list, expected at least one backend"),
        ("backends.1", ["a", 3], "found 3, expected a text"),
        ("backend", ["a"], "unknown key; did you mean 'backends'?"),
        ("match", "nme", "found 'nme', did you mean 'name'? expected one of: address, name"),
        ("port", True, "found true, expected a whole number"),
        ("port", 70_000, "found 70000, expected 1 to 65535"),
        ("service", None, "missing; it has no default"),
        ("service", ["monit"], "found a list, expected a table"),
        (
            "service.kind",
            {"name": "shop"},
            "missing; expected one of: monit, systemd, supervisor, container, command",
        ),
        ("service.kind", {"kind": "mnit"}, "found 'mnit', did you mean 'monit'? expected one of: monit"),
        ("service.kind", {"kind": 3}, "found 3, expected one of: monit, systemd"),
        ("service.name", {"kind": "monit"}, "missing; it has no default"),
        ("service.nme", {"kind": "monit", "nme": "x"}, "unknown key; did you mean 'name'?"),
        (
            "service.stop_timeout",
            {"kind": "container", "name": "x", "stop_timeout": -1},
            "found -1, expected a whole number",
        ),
        ("access.transport", {"transport": "telnet"}, "found 'telnet', expected one of: local, ssh"),
        ("access.prefix", {"prefix": "docker 'x"}, "expected words with closed quotes"),
        ("install.kind", {"kind": "aptt"}, "found 'aptt', did you mean 'apt'? expected one of: command, apt"),
        ("install.package", {"kind": "apt", "package": "-x"}, "found '-x', expected a text matching"),
        ("version.kind", {"kind": "x"}, "found 'x', expected one of: command, file, symlink"),
        ("health.url", {"kind": "http"}, "missing"),
        ("health.headers", {"kind": "http", "url": URL, "headers": {"a": 1}}, "one value is a whole number"),
        ("health.json.a", {"kind": "http", "url": URL, "json": {"a": [1]}}, "expected a text, a number"),
        (
            "health.status.1",
            {"kind": "http", "url": URL, "status": [200, "x"]},
            "found 'x', expected a whole",
        ),
        ("nodes", ["web1"], "found a list, expected a table of named tables"),
        ("nodes.web1", {"web1": "10.0.0.1"}, "found '10.0.0.1', expected a table"),
        ("nodes.web1", {"web1": datetime.time(7, 32)}, "found the date or time 07:32:00, expected a table"),
        ("nodes.web1.adress", {"web1": {"adress": "x"}}, "unknown key; did you mean 'address'?"),
        ("nodes.web1.port", {"web1": {"port": -1}}, "found -1, expected 1 to 65535"),
        ("nodes.web1.prefix", {"web1": {"prefix": "'"}}, "expected words with closed quotes"),
        ("nodes", {"web 1": {}}, "'web 1' cannot be used: expected letters, digits and"),
        ("nodes", {"\x1b[2J": {}}, r"'\x1b[2J' cannot be used"),
        ("nodes", {"-rf": {}}, "'-rf' cannot be used"),
        ("nodes", {"$(reboot)": {}}, "cannot be used"),
        ("nodes.web1.address", {"web1": {"address": "a b"}}, "cannot be used"),
        ("nodes.web1.ssh", {"web1": {"ssh": "-oProxyCommand=x"}}, "cannot be used"),
        ("nodes.web1.servers", {"web1": {"servers": "x"}}, "found 'x', expected a list"),
        ("rollout.serial", {"serial": 0}, "found 0, expected at least 1"),
        ("rollout.serial", {"serial": "half"}, "found 'half', expected a number or a percentage"),
        ("rollout.serial", {"serial": [1, "101%"]}, "found '101%', expected at most 100%"),
        ("rollout.serial", {"serial": []}, "found an empty list"),
        (
            "rollout.serial",
            {"serial": {"a": 1}},
            "found a table, expected a whole number or a text or a list",
        ),
        ("rollout.min_available", {"min_available": "5x"}, "found '5x', expected a number or a percentage"),
        ("rollout.max_unavailable", {"max_unavailable": 0}, "found 0, expected at least 1"),
        ("rollout.bake_time", {"bake_time": -1}, "found -1.0, expected 0 or more"),
        ("rollout.bake_time", {"bake_time": float("inf")}, "found inf, expected a finite number"),
        ("rollout.drain_timeout", {"drain_timeout": "5m"}, "found '5m', expected a number"),
        ("rollout.confirm", {"confirm": "nodes"}, "found 'nodes', did you mean 'node'?"),
        ("rollout.bake_tme", {"bake_tme": 1}, "unknown key; did you mean 'bake_time'?"),
    ],
)
def test_of_an_application(key: str, value: Any, problem: str) -> None:
    error = refused(raw(**{key.split(".")[0]: value}))
    assert (error.key, problem in error.problem) == (f"{APP}.{key}", True), str(error)


@pytest.mark.parametrize(
    "document",
    [
        raw(health={"kind": "http", "url": "http://admin:hunter2@h/"}),
        raw(health={"kind": "http", "url": URL, "headers": {"Authorization": "hunter2"}}),
        raw(health={"kind": "http", "url": URL, "password": "hunter2"}),
        raw(health={"kind": "http", "url": URL, "password_command": ["pass", "hunter2"]}),
        raw(health={"kind": ["hunter2"]}),
        raw(health=[{"password": "hunter2"}]),
        top(haproxy={"lb1": {"socket": "ssh://admin:hunter2@h/run/x.sock"}}),
        top(haproxy={"lb1": {"socket": "ssh://admin:a:hunter2@b@h/run/x.sock"}}),
        top(haproxy={"lb1": {"stats_url": "ftp://admin:hunter2@h/"}}),
        top(haproxy={"lb1": {"stats_url": "http://h/", "timeout": "http://admin:hunter2@h/"}}),
    ],
)
def test_no_error_shows_a_password(document: dict[str, Any]) -> None:
    assert "hunter2" not in str(refused(document))


def test_a_text_that_looks_like_an_error_of_ours_misleads_nobody() -> None:
    error = refused(raw(health={"kind": "http", "url": "x - at `.service.name`"}))
    assert error.key == "apps.shop.health.url"
    with pytest.raises(
        ConfigError, match=r"^f: apps.shop.health.url: found 'x - at `\$.service.name`', expected http"
    ):
        parse(raw(health={"kind": "http", "url": "x - at `$.service.name`"}), "f")


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**80), 2**80)
    | st.floats()
    | st.text(max_size=20)
    | st.dates()
    | st.times()
    | st.datetimes()
    | st.sampled_from(["http", "monit", "command", "30%", URL, "unix:///x", "ssh://u@h/x", "tcp://["]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "kind",
                    "name",
                    "url",
                    "port",
                    "serial",
                    "nodes",
                    "web1",
                    "service",
                    "health",
                    "json",
                    "status",
                ]
            )
            | st.text(max_size=8),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(["ssh", "haproxy", "apps", "x"]), values, max_size=4))
def test_any_document_is_a_configuration_or_an_error(document: dict[str, Any]) -> None:
    _parses_or_is_refused(document)


@settings(deadline=None)
@given(
    st.sampled_from(["backends", "service", "match", "nodes", "access", "install", "health", "rollout"]),
    values,
)
def test_any_value_in_a_good_document_is_accepted_or_an_error(key: str, value: Any) -> None:
    _parses_or_is_refused(raw(**{key: value}))


def _parses_or_is_refused(document: dict[str, Any]) -> None:
    try:
        outcome: object = parse(document, "f")
    except ConfigError as error:
        outcome = error
    assert isinstance(outcome, Config) or str(outcome).startswith("f: ")


@pytest.mark.parametrize(
    ("hook", "key", "problem"),
    [
        ({"events": ["end"]}, "", "expected exactly one of `command` and `url`"),
        ({"events": ["end"], "command": "x", "url": "http://h/"}, "", "expected exactly one of"),
        ({"command": "x"}, ".events", "missing"),
        ({"events": [], "command": "x"}, ".events", "found an empty list, expected at least one moment"),
        ({"events": "end", "command": "x"}, ".events", "found 'end', expected a list"),
        (
            {"events": ["end", "fialure"], "command": "x"},
            ".events.1",
            "found 'fialure', did you mean 'failure'? ",
        ),
        ({"events": ["end"], "command": "x", "on_failure": "stp"}, ".on_failure", "did you mean 'stop'?"),
        (
            {"events": ["end"], "command": "x", "timeout": 0},
            ".timeout",
            "found 0, expected 3600 seconds or less",
        ),
        ({"events": ["end"], "command": "x", "token_env": "T"}, "", "a token is only for `url`"),
        ({"events": ["end"], "url": "http://h/", "token": "hunter2"}, ".token", "did you mean 'token_env'"),
        (
            {"events": ["end"], "url": "http://h/", "token_env": "T", "token_file": "f"},
            "",
            "expected at most one of `token_env`, `token_file` and `token_command`",
        ),
        (
            {"events": ["end"], "url": "http://joe:hunter2@h/"},
            ".url",
            "expected http(s)://HOST/..., without user",
        ),
    ],
)
def test_hooks_are_checked_in_both_places(hook: dict[str, Any], key: str, problem: str) -> None:
    for document, place in ((top(hooks=[hook]), "hooks.0"), (raw(hooks=[hook]), f"{APP}.hooks.0")):
        error = refused(document)
        assert error.key == place + key
        assert problem in error.problem
        assert "hunter2" not in str(error)


def test_hooks_of_all_applications_come_before_its_own() -> None:
    hook = {"events": ["end"], "command": "true"}
    document = raw(hooks=[hook])
    document["hooks"] = [hook]
    assert list(parse(document, "f").hooks_of("shop")) == ["hooks.0", "apps.shop.hooks.0"]
    assert refused(top(hooks=hook)).problem == "found a table, expected a list of tables: [[hooks]]"


CHRISTMAS = datetime.datetime(2026, 12, 24)  # noqa: DTZ001 - local time, as TOML has it


@pytest.mark.parametrize(
    ("freeze", "key", "problem"),
    [
        ({"days": ["fri"]}, ".reason", "missing; it has no default"),
        ({"days": ["fri"], "reason": " "}, ".reason", "found an empty text"),
        ({"reason": "x"}, "", "expected `days"),
        ({"reason": "x", "from": "18:00", "to": "20:00"}, "", "expected `days"),
        (
            {"reason": "x", "days": ["fry"]},
            ".days.0",
            "found 'fry', did you mean 'fri'?",
        ),
        ({"reason": "x", "days": ["fri"], "from": "6pm"}, ".from", 'expected a time of day such as "18:00"'),
        ({"reason": "x", "days": ["fri"], "from": "24:00"}, ".from", "expected a time of day"),
        ({"reason": "x", "days": ["fri"], "to": "18:00+02:00"}, ".to", "expected a time of day"),
        ({"reason": "x", "days": ["fri"], "to": CHRISTMAS}, ".to", "expected a time of day"),
        ({"reason": "x", "from": CHRISTMAS}, ".to", "expected a date with a time"),
        ({"reason": "x", "from": CHRISTMAS.date(), "to": CHRISTMAS}, ".from", "expected a date with a time"),
        ({"reason": "x", "from": CHRISTMAS, "to": CHRISTMAS}, ".to", "expected a moment after `from`"),
        (
            {"reason": "x", "from": CHRISTMAS, "to": CHRISTMAS.replace(year=9999)},
            ".to",
            "expected a date with",
        ),
        (
            {"reason": "x", "days": ["fri"], "timezone": "Berlin"},
            ".timezone",
            "found 'Berlin', expected",
        ),
        ({"reason": "x", "days": ["fri"], "timezone": "../../etc/passwd"}, ".timezone", "expected a name"),
        ({"reason": "x", "days": ["fri"], "timezone": "Europe"}, ".timezone", "expected a name"),
        ({"reason": "x", "days": ["fri"], "fron": "18:00"}, ".fron", "unknown key; did you mean 'from'?"),
    ],
)
def test_freezes_are_checked_in_both_places(freeze: dict[str, Any], key: str, problem: str) -> None:
    for document, place in ((top(freeze=[freeze]), "freeze.0"), (raw(freeze=[freeze]), f"{APP}.freeze.0")):
        error = refused(document)
        assert error.key == place + key
        assert problem in error.problem


@pytest.mark.parametrize(
    ("table", "key"), [(table, key) for table, keys in RENAMED_KEYS.items() for key in keys]
)
def test_a_key_that_was_renamed_is_told_by_its_new_name(table: Any, key: str) -> None:
    found = RENAMED_KEYS[table][key]
    # Of health checks only the kinds can be decoded; what has a kind is not known without it.
    tags = {HealthKind: {"kind": "http", "url": "http://h/"}, ConsulService: {"kind": "consul"}}
    kind: Any = HealthSettings if table is HealthKind else table
    with pytest.raises(ConfigError, match=f"table.{key}: unknown key; it was renamed to {found}"):
        decode(
            {key: "x", **tags.get(table, {})},
            kind,
            "config.toml",
            "table",
        )
