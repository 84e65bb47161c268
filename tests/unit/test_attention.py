"""What an operator who looks elsewhere is called for, as the terminal receives it."""

from collections.abc import Mapping

import pytest

from console.tui.attention import Attention, Way
from orchestrator.events import events
from orchestrator.events.events import AnyEvent, Record
from orchestrator.events.state import RolloutState
from tests.console.dialog_values import ended

ALL: tuple[Way, ...] = ("bell", "desktop", "title")
XTERM: Mapping[str, str] = {"TERM": "xterm-256color"}


def started(*names: str, app: str = "shop") -> events.RolloutStarted:
    return events.RolloutStarted(
        application=app,
        version="1.5.0",
        nodes=list(names),
        batches=[[name] for name in names],
        operator="ann",
    )


def asked(subject: str = "web2", name: str = "q1") -> events.DecisionRequested:
    return events.DecisionRequested(question=name, subject=subject, text="Go on?", choices=["continue"])


def failed(name: str) -> events.NodeFailed:
    return events.NodeFailed(node=name, step="start", error="no answer", touched=True)


class Terminal:
    """Collects what is written, and feeds events."""

    def __init__(self, *ways: Way, environment: Mapping[str, str] = XTERM) -> None:
        self.written: list[str] = []
        self.attention = Attention(ways, self.written.append, environment)
        self.states: dict[str, RolloutState] = {}

    def feed(self, *happened: AnyEvent, app: str = "shop") -> list[str]:
        """Add events to an application's rollout, and return what is written then."""
        state = self.states.setdefault(app, RolloutState())
        for event in happened:
            state.apply(Record(1, 1000.0, event))
        self.written.clear()
        self.attention.update(self.states)
        return self.written.copy()


def test_a_question_a_failure_and_the_end_call_once() -> None:
    terminal = Terminal("bell", "desktop")
    assert terminal.feed(started("web1", "web2")) == []
    assert terminal.feed(asked()) == ["\a", "\x1b]9;shop: web2 waits for an answer\a"]
    assert terminal.feed() == []
    answer = events.DecisionMade(question="q1", subject="web2", choice="continue", who="ann")
    assert terminal.feed(answer) == []
    assert terminal.feed(failed("web2")) == ["\a", "\x1b]9;shop: web2 failed\a"]
    assert terminal.feed(ended()) == ["\a", "\x1b]9;shop: upgrade to 1.5.0 ended healthy\a"]
    assert terminal.feed() == []


def test_a_failure_with_a_question_calls_once() -> None:
    terminal = Terminal("desktop")
    terminal.feed(started("web2"))
    assert terminal.feed(failed("web2"), asked()) == ["\x1b]9;shop: web2 waits for an answer\a"]


def test_what_is_there_at_the_first_look_calls_nobody() -> None:
    terminal = Terminal("bell", "desktop")
    assert terminal.feed(started("web1"), asked("web1")) == []


def test_a_later_rollout_is_new() -> None:
    terminal = Terminal("bell")
    terminal.feed(started("web1"), ended())
    terminal.states["shop"] = RolloutState()
    assert terminal.feed(started("web1"), asked("web1")) == ["\a"]


def test_the_title_says_what_goes_on_and_is_given_back() -> None:
    terminal = Terminal("title")
    assert terminal.feed() == ["\x1b[22;2t\x1b]2;Rolldeck\x1b\\"]
    assert terminal.feed(started("web1", "web2")) == ["\x1b]2;shop → 1.5.0 0/2 · Rolldeck\x1b\\"]
    assert terminal.feed(started("a"), app="pay") == ["\x1b]2;2 rollouts · Rolldeck\x1b\\"]
    assert terminal.feed(asked("a"), app="pay") == ["\x1b]2;? pay · Rolldeck\x1b\\"]
    assert terminal.feed(ended(), app="pay") == ["\x1b]2;shop → 1.5.0 0/2 · Rolldeck\x1b\\"]
    terminal.written.clear()
    terminal.attention.close()
    terminal.attention.close()
    assert terminal.written == ["\x1b[23;2t"]


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        (XTERM, "\x1b]9;shop: a,b\\x1b]2,x waits for an answer\a"),
        ({"TERM": "foot"}, "\x1b]777;notify;Rolldeck;shop: a,b\\x1b]2,x waits for an answer\x1b\\"),
        (
            {"TERM": "xterm", "VTE_VERSION": "7600"},
            "\x1b]777;notify;Rolldeck;shop: a,b\\x1b]2,x waits for an answer\x1b\\",
        ),
    ],
)
def test_no_name_can_end_or_split_the_sequence(environment: Mapping[str, str], expected: str) -> None:
    terminal = Terminal("desktop", environment=environment)
    terminal.feed(started("web1"))
    assert terminal.feed(asked("a;b\x1b]2;x")) == [expected]


def test_each_way_can_be_switched_off() -> None:
    terminal = Terminal()
    terminal.feed(started("web1"))
    assert terminal.feed(asked("web1")) == []
