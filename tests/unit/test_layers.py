"""The imports of fresh processes: the engine without a front end, and commands that start fast."""

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.support.servers.haproxy import haproxy_binaries, running_haproxy

ROOT = Path(__file__).parents[2]

FRONT_ENDS = {"textual", "rich", "click"}
SLOW = {"asyncssh", "httpx", "textual", "rich", "yaml", "consul", "requests"}


def loaded(code: str, *arguments: object) -> set[str]:
    """Return the top-level modules that a fresh Python has loaded after this code, which may use sys.argv."""
    return {name.partition(".")[0] for name in loaded_modules(code, *arguments)}


def loaded_modules(code: str, *arguments: object) -> set[str]:
    """Return all modules, with their packages, that a fresh Python has loaded after this code."""
    names = "{name for name, module in sys.modules.items() if module}"  # None: kept out
    program = f"{code}\nimport sys\nprint(*sorted({names}))"
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split())


def modules(room: str) -> Iterable[str]:
    for path in sorted((ROOT / room).rglob("*.py")):
        yield ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.parametrize("room", ["orchestrator", "backends"])
def test_the_core_knows_no_front_end(room: str) -> None:
    names = list(modules(room))
    assert len(names) > 10
    seen = loaded(f"import {', '.join(names)}")
    assert room in seen
    assert not seen & (FRONT_ENDS | {"console", "widgets"})


def test_backends_know_nothing_of_what_decides() -> None:
    assert "orchestrator" not in loaded(f"import {', '.join(modules('backends'))}")


def test_the_script_starts_without_settings_and_adapters() -> None:
    slow = SLOW | {"urllib.request", "http.cookiejar"}
    assert "console.errors" in (
        modules := loaded_modules("import console.cli, console.errors, console.command_line")
    )
    heavy = {"orchestrator.settings", "orchestrator.events.events", "backends.kinds", "backends.hooks"}
    assert not modules & (slow | heavy)


def test_the_command_line_starts_without_what_is_slow() -> None:
    assert not loaded("import console.command_line") & (SLOW | {"msgspec", "asyncio", "backends"})
    every = ", ".join(
        module for module in modules("console.commands".replace(".", "/")) if "demo" not in module
    )
    assert not loaded(f"import {every}") & SLOW


@pytest.mark.parametrize("binary", haproxy_binaries()[-1:])
async def test_a_look_at_a_unix_socket_needs_neither_ssh_nor_http(binary: Path, tmp_path: Path) -> None:
    sections = "backend shop\n    server web1 127.0.0.1:1\n"
    async with running_haproxy(tmp_path / "lb", binary, sections) as haproxy:
        config = tmp_path / "config.toml"
        config.write_text(
            f"[haproxy.lb1]\nsocket = {json.dumps(f'unix://{haproxy.socket}')}\n"
            "[apps.shop]\nbackends = ['shop']\n[apps.shop.service]\nkind = 'monit'\nname = 'shop'\n"
        )
        code = (
            "import sys\nfrom console.command_line import cli\n"
            "assert cli.main(['--config', sys.argv[1], 'status'], standalone_mode=False) == 0"
        )
        seen = loaded(code, config)
    assert "backends" in seen
    assert not seen & SLOW
