"""What the shell completes, from a configuration and a journal on disk; no server is asked."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.shell_completion import BashComplete

from console.command_line import cli
from tests.unit import journals

CONFIG = """
[haproxy.lb1]
socket = "unix:///nowhere/lb1.sock"

[apps.shop]
backends = ["shop"]
service = {{ kind = "systemd", name = "shop" }}

[apps.shop.nodes]
web1 = {{ address = "192.0.2.1" }}
web2 = {{ address = "192.0.2.2" }}

[apps.pay]
backends = ["pay"]
service = {{ kind = "systemd", name = "pay" }}

[journal]
path = "{journal}"
"""

Complete = Callable[..., list[str]]


@pytest.fixture
def complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Complete:
    """Complete the last word of a command line, in a folder with a configuration and a journal."""
    monkeypatch.chdir(tmp_path)
    journal = tmp_path / "journal.db"
    (tmp_path / "config.toml").write_text(CONFIG.format(journal=journal))
    journals.write(journal, journals.healthy(), version="2.0")
    journals.write(journal, journals.healthy()[:1], version="2.1", application="pay")
    journals.write(journal, journals.healthy()[:1], version="2.2\x1b[31m")

    def call(*words: str) -> list[str]:
        shell = BashComplete(cli, {}, "rolldeck", "_ROLLDECK_COMPLETE")
        return [item.value for item in shell.get_completions(list(words[:-1]), words[-1])]

    return call


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["upg"], ["upgrade"]),
        (["upgrade", ""], ["shop", "pay"]),
        (["status", "p"], ["pay"]),
        (["--app", "s"], ["shop"]),
        (["upgrade", "shop", ""], ["2.0"]),  # no version with a control sequence in it
        (["upgrade", "pay", "2"], ["2.1"]),
        (["drain", "shop", ""], ["web1", "web2", "web3"]),  # the last one only the journal knows
        (["upgrade", "shop", "2.0", "--limit", "web2"], ["web2"]),
        (["rollback", "--node", "web1"], ["web1"]),
        (["history", "sho"], ["show", "shop"]),
        (["history", "show", ""], ["3", "2", "1"]),
        (["history", "--res"], ["--result"]),
        (["history", "--node", "web1"], ["web1"]),
        (["history", "shop", "--result", "deg"], ["degraded"]),
        (["upgrade", "nothing", "1.0", "--limit", ""], []),
    ],
)
def test_names_are_completed(complete: Complete, words: list[str], expected: list[str]) -> None:
    assert complete(*words) == expected


def test_an_unreadable_configuration_completes_nothing(
    complete: Complete, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.toml").write_text("[apps")
    assert complete("upgrade", "") == []
    assert capfd.readouterr() == ("", "")
