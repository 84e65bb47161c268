"""What `rolldeck status` calls in rotation."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from backends.errors import Unreachable
from backends.model import Backend, Info, Level, RequestCounters, Server, Snapshot
from console.command_line import cli
from console.commands import status
from tests.unit.console_values import TOML, server, write

TCP = RequestCounters(total=7, http=False)


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


def test_one_broken_socket_of_many_applications_is_said_once(tmp_path: Path) -> None:
    _, _, app = TOML.partition("[apps.shop]")
    tables = "".join(
        f"[apps.shop{number}]{app.replace('[apps.shop.', f'[apps.shop{number}.')}\n" for number in range(40)
    )
    sockets = "".join(
        f'[haproxy.{name}]\nsocket = "unix://{tmp_path}/{name}.sock"\n' for name in ("lb1", "lb2")
    )
    file = write(tmp_path, f'[journal]\npath = "{tmp_path}/journal.db"\n{sockets}{tables}')
    done = CliRunner().invoke(cli, ["--config", str(file), "status"], standalone_mode=False)
    assert done.return_value == 1, done.exception
    assert done.stdout.count("lb1 ✗") == 40
    for name in ("lb1", "lb2"):
        assert done.stderr.count(f"{tmp_path}/{name}.sock: No such file or directory") == 1


def test_errors_are_what_clients_saw_and_unknown_in_tcp_mode(
    capsys: pytest.CaptureFixture[str],
) -> None:
    counters = RequestCounters(total=200, answered=198, broken=4)
    told = Backend("shop", "http", "", "", RequestCounters(total=200, answered=200, answered_5xx=2))
    http, tcp = server("web1", counters=counters), server("db1", backend="db", counters=TCP)
    both: status.Seen = {"lb1": replace(seen("lb1", http, tcp), backends=(told,))}
    assert status._as_text("shop", both)
    cells = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [line[-2] for line in cells[1:4]] == ["ERR%", "1.0", "?"]
    assert status._as_json("shop", both)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()][1:]
    assert [(line["requests"], line["errors"]) for line in lines] == [(200, 2), (7, None)]
