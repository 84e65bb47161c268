"""The environment of processes that Rolldeck starts: what they need, and no tokens of other components."""

from pathlib import Path

import msgspec
import pytest

from backends.command import Command
from backends.errors import ConfigError, Refused
from backends.hooks import HookSettings, make_hook
from backends.hosts.local import LocalHost
from backends.installers.common import SequenceInstaller
from backends.local_machine import SystemClock, secret_names
from backends.protocols import Host
from backends.secrets import load_secret
from console.config.config_file import parse
from orchestrator.adapters import AdapterFactory
from orchestrator.events.event_bus import EventBus
from orchestrator.inventory.resolver import resolve_nodes

TOKENS = {
    "CONSUL_HTTP_TOKEN": "c0nsul-token",
    "STATS_PASSWORD": "st4ts-password",
    "SSH_AUTH_SOCK": "/run/agent.sock",
    "AWS_SECRET_ACCESS_KEY": "aws-s3cret",
    "SLACK_TOKEN": "sl4ck-token",
    "DOCKER_HOST": "unix:///run/other.sock",
}
PLAIN = {"LANG": "C.UTF-8", "LC_TIME": "C.UTF-8", "TZ": "Europe/Berlin", "HOME": "/home/ann"}
CONFIG = {
    "haproxy": {
        "lb1": {"stats_url": "http://127.0.0.1/s", "username": "u", "password_env": "STATS_PASSWORD"}
    },
    "apps": {
        "shop": {
            "backends": ["shop"],
            "access": {"transport": "local", "env": ["DOCKER_HOST"]},
            "nodes": {"web1": {"address": "127.0.0.1", "port": 80}},
            "service": {"kind": "command", "start": "true", "stop": "true", "status": "true"},
            "install": {"kind": "ansible", "playbook": "shop.yml"},
            "version": {"kind": "command", "run": "echo 1.0"},
            "health": {"kind": "tcp"},
        }
    },
}


@pytest.fixture(autouse=True)
def tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (TOKENS | PLAIN).items():
        monkeypatch.setenv(name, value)


def variables(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.split("\0") if line)


async def seen_by_a_hook(place: Path, payload: dict[str, object], **settings: object) -> dict[str, str]:
    command = f"cat /proc/self/environ > {place}/environ"
    hook = HookSettings(events=["end"], command=command, **settings)  # type: ignore[arg-type]
    await make_hook(hook, "hooks.0").fire(msgspec.json.encode(payload))
    return variables((place / "environ").read_text())


async def seen_on(host: Host) -> dict[str, str]:
    return variables((await host.run(Command(("cat", "/proc/self/environ")))).stdout)


async def test_a_hook_gets_little_and_what_happens(tmp_path: Path) -> None:
    told = {"moment": "end", "application": "shop", "version": "1.5.0", "rollout": 7, "node": "", "x": "y"}
    seen = await seen_by_a_hook(tmp_path, told | {"result": "a\0b"})
    assert not TOKENS.keys() & seen.keys()
    assert PLAIN.items() <= seen.items()
    assert "PATH" in seen
    ours = {name: value for name, value in seen.items() if name.startswith("ROLLDECK_")}
    assert ours == {
        "ROLLDECK_MOMENT": "end",
        "ROLLDECK_APPLICATION": "shop",
        "ROLLDECK_VERSION": "1.5.0",
        "ROLLDECK_ROLLOUT": "7",
    }


async def test_a_hook_gets_what_is_named_for_it(tmp_path: Path) -> None:
    seen = await seen_by_a_hook(tmp_path, {}, env=["SLACK_TOKEN", "NOT_SET_ANYWHERE"])
    assert seen.keys() & TOKENS.keys() == {"SLACK_TOKEN"}
    assert "NOT_SET_ANYWHERE" not in seen


async def test_what_a_hook_was_handed_over_is_not_in_its_last_words() -> None:
    hook = HookSettings(
        events=["end"], command='echo "refused: $SLACK_TOKEN" >&2; exit 1', env=["SLACK_TOKEN"]
    )
    with pytest.raises(Refused, match=r"exit status 1: refused: \*\*\*$"):
        await make_hook(hook, "hooks.0").fire(b"{}")


def test_names_are_checked_and_are_for_commands_only() -> None:
    with pytest.raises(ValueError, match="found 'A=B', expected names of variables"):
        HookSettings(events=["end"], command="true", env=["A=B"])
    with pytest.raises(ValueError, match="env is only for `command`"):
        HookSettings(events=["end"], url="https://chat.example.com/", env=["A"])


async def test_a_command_on_this_machine_gets_what_it_would_get_over_ssh() -> None:
    seen = await seen_on(LocalHost("here"))
    assert not TOKENS.keys() & seen.keys()
    assert PLAIN.items() <= seen.items()


async def test_a_password_manager_works_with_agents_and_logins_and_gets_no_other_secret() -> None:
    parse(CONFIG, "config.toml")
    secret = await load_secret("", "", "env -0 | tr '\\0' '|'", "x.password")
    assert secret is not None
    names = {part.split("=")[0] for part in secret.reveal().split("|")}
    assert names & TOKENS.keys() == TOKENS.keys() - {"CONSUL_HTTP_TOKEN", "STATS_PASSWORD"}


async def test_nodes_of_this_machine_get_what_access_names_and_ansible_the_operators() -> None:
    config = parse(CONFIG, "config.toml")
    adapters = AdapterFactory(config.ssh, EventBus(SystemClock()).record)
    try:
        app = config.app("shop")
        specs = resolve_nodes(
            await config.source_of("shop", None).read(), (), "config.toml", "apps.shop.nodes", app.port
        )
        [node] = await adapters.nodes("shop", app, config.source_of("shop", None), specs)
        assert (await seen_on(node.host)).keys() & TOKENS.keys() == {"DOCKER_HOST"}
        assert isinstance(node.installer, SequenceInstaller)
        names = (await seen_on(node.installer.host)).keys() & TOKENS.keys()
        assert names == TOKENS.keys() - {"CONSUL_HTTP_TOKEN", "STATS_PASSWORD"}
    finally:
        await adapters.close()


def test_every_place_of_a_secret_is_found() -> None:
    raw: dict[str, object] = {
        "a": {"password_env": "P1", "b": [{"token_env": "T1"}, 3]},
        "c_env": 5,
        "env": ["X"],
    }
    assert secret_names(raw) == {"P1", "T1"}


def test_a_wrong_name_in_the_configuration_says_where() -> None:
    wrong = {**CONFIG, "hooks": [{"events": ["end"], "command": "true", "env": ["no name"]}]}
    with pytest.raises(ConfigError, match=r"hooks.*env: found 'no name'"):
        parse(wrong, "config.toml")
