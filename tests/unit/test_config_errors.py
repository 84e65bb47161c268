"""Everything that is wrong with a configuration is said at once, in the order of the file."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from backends.errors import ConfigError
from console.config.config_file import parse
from console.config.problems import ConfigErrors
from tests.support.console_values import write

WRONG = """\
[lock]
ttl = 5
kind = "consull"

[ssh]
prot = 22
connect_timeout = -1
login_timeout = "soon"

[haproxy.lb1]
socket = "unix:x"
timeout = 0
concurrency = 1000
[haproxy.lb2]
sokcet = "unix:///x"

[apps.shop]
backends = "shop"
port = 70000
haproxy = ["lb1", "lb22"]
[apps.shop.nodes]
web1 = { adress = "10.0.0.1", port = -1 }
web2 = { address = "a b", ssh = "-oProxyCommand=x" }
[apps.shop.service]
kind = "mnit"
[apps.shop.health]
kind = "http"
timeout = 0
successes = 0
[apps.shop.rollout]
serial = [1, "x%"]
bake_time = -1
min_available = "200%"
on_failure = "rolback-node"

[apps.billing]
port = "8080"
[apps.billing.service]
kind = "monit"
"""

KEYS = [
    "lock.ttl",
    "lock.kind",
    "ssh.prot",
    "ssh.connect_timeout",
    "ssh.login_timeout",
    "haproxy.lb1.socket",
    "haproxy.lb1.timeout",
    "haproxy.lb1.concurrency",
    "haproxy.lb2.sokcet",
    "apps.shop.backends",
    "apps.shop.port",
    "apps.shop.haproxy",
    "apps.shop.nodes.web1.adress",
    "apps.shop.nodes.web1.port",
    "apps.shop.nodes.web2.address",
    "apps.shop.nodes.web2.ssh",
    "apps.shop.service.kind",
    "apps.shop.health.timeout",
    "apps.shop.health.successes",
    "apps.shop.health.url",
    "apps.shop.rollout.serial",
    "apps.shop.rollout.bake_time",
    "apps.shop.rollout.min_available",
    "apps.shop.rollout.on_failure",
    "apps.billing.port",
    "apps.billing.service.name",
    "apps.billing.backends",
]


def errors(text: str) -> list[tuple[str, str]]:
    with pytest.raises(ConfigErrors) as caught:
        parse(tomllib.loads(text), "f")
    assert {error.file for error in caught.value.errors} == {"f"}
    return [(error.key, error.problem) for error in caught.value.errors]


def test_each_mistake_of_a_file_is_named_with_what_was_found_and_expected() -> None:
    found = errors(WRONG)
    # That lb2 has no socket follows from the wrong name alone: it is not said.
    assert [key for key, _ in found] == KEYS
    said = dict(found)
    assert said["lock.ttl"].startswith("found 5, expected 26 to 3600 seconds")
    assert said["lock.kind"] == "found 'consull', did you mean 'consul'? expected one of: consul, local"
    assert said["haproxy.lb1.timeout"] == "found 0, expected more than 0, at most 600 seconds"
    assert said["haproxy.lb2.sokcet"].startswith("unknown key; did you mean 'socket'?")
    assert said["apps.shop.haproxy"] == "found 'lb22', did you mean 'lb2'? expected one of: lb1, lb2"
    assert said["apps.shop.health.url"] == "missing; it has no default"
    assert said["apps.billing.service.name"] == "missing; it has no default"


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        # What is only a consequence of another mistake is not one more.
        ("[haproxy.lb1]\nsocket = 3\n[apps.a]\nbackends=['x']\nservice={kind='monit',name='x'}\n", None),
        ("hapoxy = 1\n[lock]\nttl = 1\n", ["hapoxy", "lock.ttl", "haproxy", "apps"]),
        (
            "[[hooks]]\nevents = ['edn']\nurl = 3\n[[hooks]]\ntimeout = -1\n",
            ["hooks.0.events.0", "hooks.0.url"],
        ),
    ],
)
def test_no_mistake_is_made_up(text: str, keys: list[str] | None) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(tomllib.loads(text), "f")
    if keys is None:
        assert not isinstance(caught.value, ConfigErrors)
        assert caught.value.key == "haproxy.lb1.socket"
    else:
        assert isinstance(caught.value, ConfigErrors)
        assert [error.key for error in caught.value.errors][: len(keys)] == keys


def test_neither_hooks_nor_placeholders_are_hidden_by_other_mistakes() -> None:
    text = """
[haproxy.lb1]
socket = "unix:///x"
[apps.a]
backends = ["b"]
port = 70000
service = { kind = "monit", name = "s" }
health = { kind = "http", url = "http://{adress}/" }
hooks = [
    { events = ["end"] },
    { events = ["edn"], command = "x" },
    { events = ["end"], command = "x", timeout = 0 },
]
freeze = [{ reason = "x" }, { days = ["fri"] }]
"""
    assert [key for key, _ in errors(text)] == [
        "apps.a.port",
        "apps.a.health.url",
        "apps.a.hooks.0",
        "apps.a.hooks.1.events.0",
        "apps.a.hooks.2.timeout",
        "apps.a.freeze.0",
        "apps.a.freeze.1.reason",
    ]


def test_the_command_line_shows_the_first_of_many_and_how_many_there_are(tmp_path: Path) -> None:
    nodes = "".join(f'web{n} = {{ adress = "10.0.0.1" }}\n' for n in range(300))
    path = write(tmp_path, WRONG + "[apps.billing.nodes]\n" + nodes)
    command = [str(Path(sys.executable).parent / "rolldeck"), "--config", str(path), "status"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    lines = done.stderr.splitlines()
    assert (done.returncode, done.stdout, len(lines)) == (2, "", 51)
    assert lines[0].startswith(f"rolldeck: {path}: lock.ttl: found 5, expected")
    assert lines[-1] == f"rolldeck: 327 errors in {path}, of which the first 50 are shown"
