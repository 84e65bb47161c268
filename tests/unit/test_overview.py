"""Many applications with one line each, and the status that is repeated."""

from typing import Any

import click
import pytest
from click.testing import CliRunner

from backends.errors import Unreachable
from backends.model import Admin, Info, Level, Server, Snapshot
from console.command_line import cli
from console.terminal.output import collect_lines, repaint, result, say
from console.terminal.overview import Overview, overview_lines
from orchestrator.events.events import DecisionRequested
from orchestrator.journal.entry_status import NodeProgress, RolloutStatus, Standing
from orchestrator.live.versions import NodeVersion
from orchestrator.locks.file import Holder
from orchestrator.session.status import ApplicationStatus
from tests.support.console_values import server

OUT: dict[str, Any] = {"admin": Admin.FORCED_MAINT, "status": "MAINT", "effective_weight": 0}


def snapshot(instance: str, *servers: Server) -> Snapshot:
    return Snapshot(Info(instance, "2.6", 1, 1, False), Level.ADMIN, (), servers)


def rollout(
    *, standing: Standing = "running", questions: tuple[DecisionRequested, ...] = ()
) -> RolloutStatus:
    return RolloutStatus(
        standing=standing,
        why="",
        entry=7,
        kind="upgrade",
        version="1.5.0",
        operator="ann@ops",
        host="ops",
        pid=1,
        since=0.0,
        origin="",
        phase="progressing",
        phase_by="",
        phase_reason="",
        phase_text="",
        done=1,
        total=3,
        nodes=(NodeProgress("web2", "draining", "", ""),),
        questions=questions,
        touched=True,
        ways_on=(),
    )


def versions(*names: str) -> list[NodeVersion]:
    return [NodeVersion(f"web{number}", version, "health") for number, version in enumerate(names, 1)]


QUESTION = DecisionRequested(question="q1", subject="web2", text="Go on?", choices=["continue"])
IN = {"lb1": snapshot("lb1", server("web1"), server("web2"))}
ONE_OUT = {"lb1": snapshot("lb1", server("web1", sessions=5), server("web2", **OUT))}


def test_applications_that_need_attention_come_first() -> None:
    lines = overview_lines(
        [
            Overview("fine", IN, ApplicationStatus(versions=versions("1.4.2", "1.4.2"))),
            Overview("rolls", ONE_OUT, ApplicationStatus(rollouts=[rollout()])),
            Overview("asks", ONE_OUT, ApplicationStatus(rollouts=[rollout(questions=(QUESTION,))])),
            Overview("left", ONE_OUT, ApplicationStatus(rollouts=[rollout(standing="unfinished")])),
            Overview("out", ONE_OUT, ApplicationStatus(versions=versions("1.4.2", "1.5.0"))),
            Overview("dead", {"lb1": Unreachable("lb1", "refused")}, ApplicationStatus()),
            Overview("broken", {}, None, "config.toml: nodes: no such file"),
            Overview(
                "held",
                IN,
                ApplicationStatus(
                    holder=Holder(operator="ann", host="ops", pid=1, since=0.0, what="drain web1")
                ),
            ),
        ]
    )
    assert [line.rstrip() for line in lines] == [
        "   APP      IN  VERSIONS            SESS  Q  STATE",
        "\x1b[31m✗  dead      ?  ?                      ?  ?  lb1 unreachable\x1b[0m",
        "\x1b[31m✗  broken    ?  ?                      ?  ?  config.toml: nodes: no such file\x1b[0m",
        "\x1b[33m!  asks    1/2  ?                      5  0  → 1.5.0 1/3 · waits for an answer: web2"
        " · ann@ops\x1b[0m",
        "\x1b[33m!  left    1/2  ?                      5  0  unfinished: upgrade to 1.5.0; out: web2\x1b[0m",
        "\x1b[33m!  out     1/2  1.4.2 ×1  1.5.0 ×1     5  0  out: web2\x1b[0m",
        "\x1b[33m◐  rolls   1/2  ?                      5  0  → 1.5.0 1/3 · web2 draining · ann@ops\x1b[0m",
        "   fine    2/2  1.4.2 ×2               0  0",
        "   held    2/2  ?                      0  0  locked by ann: drain web1",
    ]


@pytest.mark.parametrize(
    ("overview", "healthy"),
    [
        (Overview("shop", IN, ApplicationStatus()), True),
        (Overview("shop", ONE_OUT, ApplicationStatus()), False),
        (Overview("shop", IN, ApplicationStatus(rollouts=[rollout(standing="unfinished")])), False),
        (Overview("shop", {**IN, "lb2": snapshot("lb2", server("web1", "lb2"))}, ApplicationStatus()), False),
        (Overview("shop", {}, None), False),
    ],
)
def test_healthy_is_what_is_known_to_be(overview: Overview, healthy: bool) -> None:
    assert overview.healthy is healthy


@pytest.fixture
def rounds(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let `status` print the number of its round; the third one is interrupted."""
    begun: list[int] = []

    async def show(*_: object) -> int:
        begun.append(len(begun) + 1)
        if begun[-1] == 3:
            raise KeyboardInterrupt
        result(f"round {begun[-1]}")
        return 0

    monkeypatch.setattr("console.commands.status._status", show)
    monkeypatch.setattr("console.commands.status.find_and_load", lambda _: _Config())
    return begun


class _Config:
    apps = ("shop",)

    def app(self, _: str) -> None:
        pass


def test_a_watch_repeats_until_it_is_interrupted(rounds: list[int]) -> None:
    done = CliRunner().invoke(cli, ["status", "--watch=0.5"], standalone_mode=False)
    assert isinstance(done.exception, click.Abort)
    lines = done.stdout.splitlines()
    assert [line for line in lines if not line.startswith("--- ")] == ["round 1", "round 2"]
    assert rounds == [1, 2, 3]


def test_lines_are_painted_over_those_before(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "4")
    with collect_lines() as lines:
        result("one")
        say("two\x1b[2J")
        result("three")
        result("four")
    assert capsys.readouterr() == ("", "")
    repaint(lines)
    out = capsys.readouterr().out
    assert out == "\x1b[Hone\x1b[K\ntwo\\x1b[2J\x1b[K\n… 2 more lines\x1b[K\n\x1b[J"
