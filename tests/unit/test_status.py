"""What `rolldeck status` calls in rotation."""

import pytest

from backends.errors import Unreachable
from backends.model import Info, Level, Server, Snapshot
from console.commands import status
from tests.unit.console_values import server


def seen(instance: str, *servers: Server) -> Snapshot:
    return Snapshot(Info(instance, "2.6", 1, 1, False), Level.ADMIN, (), servers)


def test_a_server_that_one_load_balancer_lacks_is_not_in_rotation(capsys: pytest.CaptureFixture[str]) -> None:
    both: status.Seen = {"lb1": seen("lb1", server("web1", "lb1")), "lb2": seen("lb2")}
    assert not status._as_text("shop", both)
    out = capsys.readouterr().out
    assert "✓?" in out
    assert "0 of 1 in rotation; not: web1 (shop)" in out


def test_a_load_balancer_that_cannot_be_read_is_not_healthy(capsys: pytest.CaptureFixture[str]) -> None:
    mixed: status.Seen = {"lb1": seen("lb1", server("web1", "lb1")), "lb2": Unreachable("lb2", "refused")}
    assert not status._as_text("shop", mixed)
    captured = capsys.readouterr()
    assert "1 of 1 in rotation" in captured.out
    assert "lb2: refused" in captured.err
