"""The text for a server, which separates its operational from its administrative state."""

from typing import Any

import msgspec
import pytest

from backends.model import Admin, Operational
from console.terminal.status import server_fields
from orchestrator.events.json import encode
from orchestrator.events.text import format_health
from tests.support.console_values import HOSTILE, server


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "▲ up"),
        ({"admin": Admin.FORCED_DRAIN, "status": "DRAIN"}, "▲ up"),
        ({"admin": Admin.CONFIG_MAINT}, "▲ up"),  # "disabled" in the configuration, and ready since
        ({"admin": Admin.FORCED_MAINT, "status": "MAINT"}, "-"),
        ({"admin": Admin.INHERITED_MAINT, "status": "MAINT (via b/s)"}, "-"),
        ({"has_checks": False, "check_status": "", "status": "no check"}, "no check"),
        ({"status": "UP 1/3", "check_health": 2}, "△ 2/4 L7OK"),
        ({"admin": Admin.FORCED_DRAIN, "status": "DRAIN 2/3", "check_health": 3}, "△ 3/4 L7OK"),
        ({"operational": Operational.STOPPED, "status": "DOWN", "check_status": "L4CON"}, "▼ L4CON"),
        ({"operational": Operational.STOPPED, "status": "DOWN", "check_status": ""}, "▼ DOWN"),
    ],
)
def test_words(changes: dict[str, Any], words: str) -> None:
    assert format_health(server(**changes)) == words


def test_a_server_in_maintenance_is_never_called_up() -> None:
    for bits in (Admin.FORCED_MAINT, Admin.INHERITED_MAINT, Admin.RESOLUTION_MAINT):
        assert "up" not in format_health(server(admin=bits | Admin.FORCED_DRAIN))


def test_only_what_is_in_rotation_is_up_without_a_doubt() -> None:
    for status in ("UP 1/3", "DOWN", "DOWN 1/2", "NOLB", "DRAIN (agent)", "who knows"):
        assert not server(status=status).in_rotation


@pytest.mark.parametrize("said", [text for text in HOSTILE if "\ud800" not in text])
def test_json_has_both_axes_and_carries_any_text(said: str) -> None:
    drained = server(admin=Admin.FORCED_DRAIN, status=said, check_status=said)
    fields = msgspec.json.decode(encode(server_fields("shop", drained)))
    assert (fields["schema"], fields["kind"], fields["application"]) == (2, "server", "shop")
    assert (fields["admin"], fields["operational"], fields["status"]) == ("drain", "running", said)
    assert (fields["load_balancer"], fields["backend"], fields["server"]) == ("lb1", "shop", "web1")
    assert fields["in_rotation"] is False
