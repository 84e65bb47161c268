"""What `rolldeck status` calls in rotation."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from backends.errors import Unreachable
from backends.model import Admin, Backend, Info, Level, Load, Operational, RequestCounters, Server, Snapshot
from console.command_line import cli
from console.terminal import server_table
from console.terminal.server_table import Answers
from orchestrator.balancers.response_times import ResponseTime
from orchestrator.journal.store import Journal
from orchestrator.session.status import StatusReader
from tests.support.console_values import TOML, server, write

TCP = RequestCounters(total=7, http=False)


def seen(instance: str, *servers: Server) -> Snapshot:
    return Snapshot(Info(instance, "2.6", 1, 1, False), Level.ADMIN, (), servers)


def test_a_server_that_one_load_balancer_lacks_is_not_in_rotation(capsys: pytest.CaptureFixture[str]) -> None:
    both: Answers = {"lb1": seen("lb1", server("web1", "lb1")), "lb2": seen("lb2")}
    assert not server_table.show_servers("shop", both)
    out = capsys.readouterr().out
    assert "✓?" in out
    assert "0 of 1 in rotation; not: web1 (shop)" in out


def test_a_load_balancer_that_cannot_be_read_is_not_healthy(capsys: pytest.CaptureFixture[str]) -> None:
    mixed: Answers = {
        "lb1": seen("lb1", server("web1", "lb1")),
        "lb2": Unreachable("lb2", "refused"),
    }
    assert not server_table.show_servers("shop", mixed)
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
    assert done.stdout.count("lb1, lb2 unreachable\n") == 40
    assert len(done.stdout.splitlines()) == 41  # one line each
    for name in ("lb1", "lb2"):
        assert done.stderr.count(f"{tmp_path}/{name}.sock: No such file or directory") == 1


def test_errors_are_what_clients_saw_and_unknown_in_tcp_mode(
    capsys: pytest.CaptureFixture[str],
) -> None:
    counters = RequestCounters(total=200, answered=198, broken=4)
    told = Backend("shop", "http", "", "", RequestCounters(total=200, answered=200, answered_5xx=2))
    http, tcp = server("web1", counters=counters), server("db1", backend="db", counters=TCP)
    both: Answers = {"lb1": replace(seen("lb1", http, tcp), backends=(told,))}
    assert server_table.show_servers("shop", both)
    cells = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [line[-3] for line in cells[1:4]] == ["ERR%", "1.0", "?"]
    assert server_table.print_servers("shop", both)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()][1:]
    assert [(line["requests"], line["errors"]) for line in lines] == [(200, 2), (7, None)]


def shown(
    monkeypatch: pytest.MonkeyPatch,
    folder: Path,
    seen_now: Answers,
    *arguments: str,
    nodes: str = "",
) -> tuple[int, str]:
    """`rolldeck status` where the load balancers say this; its exit code and standard output."""

    async def look(*_: object) -> Answers:
        return seen_now

    monkeypatch.setattr(StatusReader, "read_balancers", look)
    journal = f'[journal]\npath = "{folder}/journal.db"\n'
    file = write(folder, f"{journal}{TOML}\n{nodes}")
    done = CliRunner().invoke(cli, ["--config", str(file), "status", *arguments], standalone_mode=False)
    assert done.exception is None, done.exception
    return done.return_value, done.stdout


UNEXPLAINED = {
    name: replace(
        seen(name, server("web1", name, requests=40, errors_5xx=2)),
        backends=(
            Backend("shop", "http", "", "", RequestCounters(total=50, answered=50, answered_5xx=5)),
            Backend("db", "tcp", "", "", TCP),
        ),
    )
    for name in ("lb1", "lb2")
}


def test_errors_that_no_server_explains_are_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    code, out = shown(monkeypatch, tmp_path, UNEXPLAINED, "shop")
    assert code == 0
    assert "6 errors not attributable to a server (shop on lb1: 3, shop on lb2: 3)\n" in out
    one = {"lb1": replace(UNEXPLAINED["lb1"], backends=())}
    assert "not attributable" not in shown(monkeypatch, tmp_path, one, "shop")[1]


def test_errors_that_no_server_explains_are_in_json(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _, out = shown(monkeypatch, tmp_path, UNEXPLAINED, "shop", "--json")
    lines = [json.loads(line) for line in out.splitlines()]
    found = {
        (line["load_balancer"], line["backend"]): line["unattributed"]
        for line in lines
        if line["kind"] == "backend"
    }
    assert found == {("lb1", "shop"): 3, ("lb1", "db"): None, ("lb2", "shop"): 3, ("lb2", "db"): None}


def test_a_journal_is_read_and_checked_once_for_all_applications(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """To check one of years takes seconds."""
    opened: list[bool] = []

    class Counted(Journal):
        def __init__(self, path: Path, *, read_only: bool = False, check: bool = True) -> None:
            opened.append(check)
            super().__init__(path, read_only=read_only, check=check)

    monkeypatch.setattr("orchestrator.session.status.Journal", Counted)
    second = TOML[TOML.index("[apps.shop]") :].replace("apps.shop", "apps.cart")
    for arguments, check in (("--json",), True), ((), False):
        code, out = shown(monkeypatch, tmp_path, UNEXPLAINED, *arguments, nodes=second)
        assert (code, "cart" in out) == (0, True)
        assert opened == [check]
        opened.clear()
    (tmp_path / "journal.db").write_bytes(b"no database" * 1000)
    shown(monkeypatch, tmp_path, UNEXPLAINED, "--json", nodes=second)
    assert opened == [True]


def test_response_times_are_those_of_now_where_there_is_traffic(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def read(slow: tuple[int, int], other: tuple[int, int]) -> Answers:
        servers = [
            server("web1", requests=slow[0], response_time=slow[1], load=Load(rate=100)),
            server("web2", requests=other[0], response_time=other[1], load=Load(rate=2)),
            server("web3"),
        ]
        return {"lb1": seen("lb1", *servers)}

    reads = [read((10_000, 5), (10_000, 5)), read((10_100, 59), (10_002, 5))]
    monkeypatch.setattr("console.commands.status.MEASURED_S", 0.0)
    for arguments in ((), ("--json",)):
        left = reads.copy()

        async def look(_: object, left: list[Answers] = left) -> Answers:
            return left.pop(0)

        monkeypatch.setattr(StatusReader, "read_balancers", look)
        file = write(tmp_path, f'[journal]\npath = "{tmp_path}/journal.db"\n{TOML}')
        done = CliRunner().invoke(cli, ["--config", str(file), "status", *arguments], standalone_mode=False)
        assert done.exception is None, done.exception
        assert not left
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    times = [(line["response_ms"], line["response_is_recent"]) for line in lines if line["kind"] == "server"]
    assert times == [(309, True), (5, False), (None, None)]


def test_a_response_time_is_that_of_the_slowest_load_balancer(capsys: pytest.CaptureFixture[str]) -> None:
    servers = [server("web1", name) for name in ("lb1", "lb2")]
    both: Answers = {one.ref.instance: seen(one.ref.instance, one) for one in servers}
    times = dict(
        zip((one.ref for one in servers), (ResponseTime(9, True), ResponseTime(80, False)), strict=True)
    )
    server_table.show_servers("shop", both, times=times)
    assert [line.split()[-2] for line in capsys.readouterr().out.splitlines()[1:3]] == ["RT", "~80"]


def with_slots(up: int, empty: int) -> Answers:
    full = (server(f"web-{number}", address=f"10.0.0.{number}") for number in range(1, up + 1))
    none = (
        server(
            f"web-{number}",
            address="",
            admin=Admin.RESOLUTION_MAINT,
            operational=Operational.STOPPED,
            status="MAINT (resolution)",
            empty_slot=True,
        )
        for number in range(up + 1, up + empty + 1)
    )
    return {"lb1": seen("lb1", *full, *none)}


def test_empty_slots_are_no_servers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    code, out = shown(monkeypatch, tmp_path, with_slots(3, 7), "shop")
    assert (code, "3 of 3 in rotation\n" in out) == (0, True)
    assert "web-4" not in out
    assert "kept out" not in out
    code, out = shown(monkeypatch, tmp_path, with_slots(3, 7), "shop", "--json")
    assert code == 0
    assert [json.loads(line)["kind"] for line in out.splitlines()] == ["load_balancer"] + 3 * ["server"]


def test_the_empty_slot_of_a_node_is_a_server_that_is_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    nodes = "[apps.shop.nodes]\n" + "".join(
        f'web-{number} = {{ address = "10.0.0.{number}", port = 80 }}\n' for number in range(1, 5)
    )
    code, out = shown(monkeypatch, tmp_path, with_slots(3, 7), "shop", nodes=nodes)
    assert (code, "3 of 4 in rotation; not: web-4 (shop)" in out) == (1, True)


def test_where_every_slot_is_empty_nothing_is_healthy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    code, out = shown(monkeypatch, tmp_path, with_slots(0, 2), "shop")
    assert (code, "0 of 2 in rotation" in out) == (1, True)
