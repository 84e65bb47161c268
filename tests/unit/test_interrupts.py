"""Signals in a process of its own: what it says, what it exits with, and that it ends at all."""

import signal
import subprocess
import sys

import pytest

PROGRAM = """
import asyncio, os, signal, sys, time
from console import interrupts as module
from console.interrupts import interrupts

module.PATIENCE_SECONDS = 0.2
{before}
interrupts.catch()
interrupts.begin()

def strike(number=signal.SIGTERM):
    os.kill(os.getpid(), number)

async def never():
    try:
        await asyncio.sleep(60)
    finally:
        print("closing", flush=True)
        {closing}

async def work():
    asyncio.get_running_loop().call_later(0.1, strike)
    {more}
    await never()

try:
    interrupts.run(work())
except KeyboardInterrupt:
    print("interrupted", flush=True)
    {after}
    sys.exit(4)
"""


def run(
    closing: str = "pass", more: str = "pass", after: str = "pass", before: str = "pass"
) -> tuple[int, str, str]:
    program = PROGRAM.format(closing=closing, more=more, after=after, before=before)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=50, check=False
    )
    return done.returncode, done.stdout, done.stderr


def test_the_first_one_cancels_and_all_is_closed() -> None:
    assert run() == (4, "closing\ninterrupted\n", "")


def test_under_nohup_a_terminal_that_goes_ends_nothing() -> None:
    before = "signal.signal(signal.SIGHUP, signal.SIG_IGN)"  # as `nohup` does
    struck = "strike(signal.SIGHUP); await asyncio.sleep(0); await asyncio.sleep(0); print('goes on')"
    assert run(before=before, more=struck) == (4, "goes on\nclosing\ninterrupted\n", "")


def test_an_interrupt_that_the_shell_had_ignored_is_heard() -> None:
    before = "signal.signal(signal.SIGINT, signal.SIG_IGN)"  # as a script's shell does for `&`
    assert run(before=before, more="strike(signal.SIGINT)") == (4, "closing\ninterrupted\n", "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_second_one_does_not_disturb_what_closes(number: int) -> None:
    closing = f"strike({int(number)}); await asyncio.sleep(0.05); print('closed')"
    assert run(closing) == (4, "closing\nclosed\ninterrupted\n", "")


def test_what_does_not_close_is_ended_all_the_same() -> None:
    said = "rolldeck: aborted, although not everything could be closed\n"
    assert run("strike(); await asyncio.sleep(60)") == (4, "closing\n", said)
    assert run("strike(); time.sleep(60)") == (4, "closing\n", said)
    assert run(after="strike(); time.sleep(60)") == (4, "closing\ninterrupted\n", said)


def test_without_a_second_one_it_may_take_its_time() -> None:
    assert run("await asyncio.sleep(0.6)") == (4, "closing\ninterrupted\n", "")


def test_two_in_the_same_turn_of_the_loop() -> None:
    assert run(more="strike(); strike()") == (4, "closing\ninterrupted\n", "")


def test_one_that_comes_before_anything_can_be_said_is_not_lost() -> None:
    program = """
import os, signal
from console.interrupts import interrupts
interrupts.catch()
os.kill(os.getpid(), signal.SIGTERM)
os.kill(os.getpid(), signal.SIGTERM)
try:
    interrupts.begin()
except KeyboardInterrupt:
    print("interrupted")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("interrupted\n", "")


def test_one_that_came_while_all_was_closed_ends_the_wait_for_a_reader() -> None:
    program = """
import os, signal, time
from console.interrupts import interrupts
from console.terminal.background_writer import Job, write_in_background
interrupts.catch()
interrupts.begin()
with write_in_background(lambda: interrupts.late) as writer:
    writer.put(Job(lambda: time.sleep(60)))
    with interrupts.listening(lambda _: interrupts.end_late()):
        os.kill(os.getpid(), signal.SIGTERM)
os.write(1, b"given up")
os._exit(0)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=50
    )
    assert (done.stdout, done.stderr) == ("given up", "")
