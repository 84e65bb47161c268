"""The journal on the detail page: all events that concern the node, and none of them twice."""

from collections import deque

from orchestrator.events.events import (
    AnyEvent,
    BatchStarted,
    CommandFinished,
    NodeFailed,
    NodeNote,
    Record,
    Waiting,
)
from widgets.detail.model import MAX_JOURNAL_LINES, NodeJournal

PATHS = {("lb1", "shop/web1"), ("lb2", "shop/web1")}


def sent(command: str, node: str = "", target: str = "lb1") -> CommandFinished:
    return CommandFinished(
        node=node, step="", target=target, command=command, reply="\n", ok=True, duration_s=0.1
    )


def records(*events: AnyEvent) -> deque[Record]:
    return deque(Record(number, 1000.0, event) for number, event in enumerate(events, 1))


def texts(journal: NodeJournal) -> list[str]:
    return [line.text for line in journal.lines]


def test_what_concerns_the_node() -> None:
    journal = NodeJournal("web1")
    happened = records(
        BatchStarted(number=1, nodes=["web1", "web2"]),
        BatchStarted(number=2, nodes=["web3"]),
        NodeNote(node="web1", text="ours"),
        NodeNote(node="web10", text="not ours"),
        sent("systemctl stop shop", "web1", "web1"),
        sent("disable agent shop/web1; set server shop/web1 state maint"),  # by hand: it has no node
        sent("set server shop/web10 state maint"),
        sent("set server shop/web1 state maint", target="elsewhere"),
        NodeFailed(node="web1", step="stop", error="it would not"),
    )
    assert journal.follow(happened, PATHS)
    assert texts(journal) == [
        "batch 1: web1, web2",
        "note: ours",
        "systemctl stop shop",
        "(empty)",
        "disable agent shop/web1; set server shop/web1 state maint",
        "(empty)",
        "failed: it would not",
    ]


def test_only_what_is_new_and_no_repeated_waiting() -> None:
    journal = NodeJournal("web1")
    waiting = Waiting(node="web1", step="drain", reason="7 sessions", remaining_s=3)
    happened = records(waiting, waiting, NodeNote(node="web2", text="another's"))
    assert journal.follow(happened, PATHS)
    assert len(journal.lines) == 1
    assert not journal.follow(happened, PATHS)
    happened.append(Record(4, 1001.0, NodeNote(node="web1", text="news")))
    assert journal.follow(happened, PATHS)
    assert texts(journal)[1:] == ["note: news"]


def test_it_is_bounded() -> None:
    journal = NodeJournal("web1")
    journal.follow(
        records(*(NodeNote(node="web1", text=str(n)) for n in range(MAX_JOURNAL_LINES + 5))), PATHS
    )
    assert len(journal.lines) == MAX_JOURNAL_LINES
    assert texts(journal)[-1] == f"note: {MAX_JOURNAL_LINES + 4}"
