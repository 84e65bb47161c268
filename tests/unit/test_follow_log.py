"""A log that is read once, and one that is followed across everything that interrupts it."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

import pytest

from backends.errors import BackendError, PermissionDenied, Refused, Unreachable
from orchestrator.live.service_log import LogPart, follow_log, read_log
from orchestrator.node import Node
from tests.support.fake_faults import Fault
from tests.support.fake_fleet import World
from tests.support.scripted_host import Answer, ScriptedHost

NAME = "journal of shop.service"


def answering(answer: Answer) -> Node:
    """A node on which the command that prints the log ends like this."""
    [node] = World(nodes=1, min_available=0).application.nodes
    return replace(node, host=ScriptedHost(lambda _: answer))


async def take(parts: AsyncGenerator[LogPart, None], count: int) -> list[LogPart]:
    """The next parts that say anything."""
    found: list[LogPart] = []
    while len(found) < count:
        part = await anext(parts)
        found += [part] if part.lines or part.note else []
    return found


async def test_the_last_lines() -> None:
    assert await read_log(answering(Answer("one\ntwo\nthree\n")), 2) == ["two", "three"]
    assert await read_log(answering(Answer()), 2) == []


@pytest.mark.parametrize(
    ("answer", "kind", "problem"),
    [
        (Answer("", "No journal files were found.\n", 1), Refused, "exit status 1: No journal files"),
        (Answer("", "", 7), Refused, r"exit status 7: \(no output\)"),
        (Answer("", "sudo: a password is required\n", 1), PermissionDenied, "plan APP VERSION --sudoers"),
        (Answer("", "tail: cannot open '/l': Permission denied\n", 1), PermissionDenied, "--sudoers"),
    ],
)
async def test_why_it_cannot_be_read(answer: Answer, kind: type[BackendError], problem: str) -> None:
    with pytest.raises(kind, match=problem):
        await read_log(answering(answer), 5)


@pytest.mark.virtual_time
async def test_it_is_followed_and_read_again_after_it_has_ended() -> None:
    world = World(nodes=1, min_available=0)
    [node], fake = world.application.nodes, world.nodes["web1"]
    fake.log.write("one", "two")
    async with aclosing(follow_log(node, 50, world.clock)) as parts:
        assert await anext(parts) == LogPart(NAME)
        assert await anext(parts) == LogPart(NAME, ["one", "two"])
        fake.log.write("three")
        assert await anext(parts) == LogPart(NAME, ["three"])
        fake.log.end()
        began = world.clock.monotonic()
        ended, again = await take(parts, 2)
        assert ended.note == f"{NAME}: it has ended, as the log of a container does with the container"
        assert again.lines == ["one", "two", "three"]
        assert world.clock.monotonic() - began == pytest.approx(1.0)


@pytest.mark.virtual_time
async def test_a_node_that_is_down_is_asked_less_and_less_often_and_noted_once() -> None:
    world = World(nodes=1, min_available=0)
    [node], fake = world.application.nodes, world.nodes["web1"]
    fake.faults.always["log_source"] = Fault(Unreachable("web1", "port 22: Connection refused"))
    fake.log.write("back")
    world.at(60, fake.faults.always.clear)
    async with aclosing(follow_log(node, 50, world.clock)) as parts:
        down, back = await take(parts, 2)
    assert down == LogPart("", note="port 22: Connection refused")
    assert back == LogPart(NAME, ["back"])
    assert 60 <= world.clock.monotonic() <= 71
