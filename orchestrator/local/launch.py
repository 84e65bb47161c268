"""The start of a rollout in a process of its own: the request, its reply, and the launcher.

The process has a session of its own and no terminal: it goes on whatever becomes of the console that has
started it. The request comes on its standard input and contains no secret: those are in its environment, as
they are in that of the console.
"""

import asyncio
import subprocess
import tempfile
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Literal

import msgspec

from backends.text import shorten
from backends.untrusted import decode
from orchestrator.engine.facts import PlanFacts
from orchestrator.engine.plan_differences import Difference
from orchestrator.events.actor import Actor
from orchestrator.events.events import RolloutKind
from orchestrator.locks.file import Holder

MAX_REPLY_BYTES = 16 * 1024 * 1024  # the differences of 10,000 nodes
MAX_ERROR_BYTES = 4_000  # of what a process writes that ends without a reply


class RolloutRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator has agreed to in a console.

    Attributes:
        config_file: absolute path of the configuration.
        digest: of its content, as `Config` has it: the console may have read another one.
        action: what is planned again.
        kind: of the rollout.
        facts: of the plan that the operator has seen.
        actor: the operator.
        version, limit, changes, override_freeze: of an upgrade; see `Session.propose`.
        locked_by: whose lock is broken, as the operator has agreed to; nobody else's is.
        reason: why it is done, in the operator's words.
    """

    config_file: str
    digest: str
    application: str
    action: Literal["upgrade", "resume", "rollback"]
    kind: RolloutKind
    facts: PlanFacts
    actor: Actor
    version: str = ""
    limit: tuple[str, ...] = ()
    changes: dict[str, Any] = {}
    override_freeze: bool = False
    locked_by: Holder | None = None
    reason: str = ""


class LaunchReply(msgspec.Struct, frozen=True, kw_only=True):
    """The only line that the process writes.

    Attributes:
        status: "changed": the plan is another one by now; no changes made, as with "refused".
        entry: the number of the rollout in the journal, once it has started.
        text: why it has not started.
        differences: from the plan that the operator has seen.
    """

    status: Literal["started", "refused", "changed"]
    entry: int = 0
    text: str = ""
    differences: tuple[Difference, ...] = ()


Launch = Callable[[RolloutRequest], Awaitable[LaunchReply]]
"""Starts a rollout somewhere else, and returns once it has begun or was refused."""


class Launcher:
    """Starts processes that carry out rollouts; it is a `Launch`.

    Args:
        command: the command line, without anything that belongs to one rollout.
        environment: of the process.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._command = command
        self._environment = environment

    async def __call__(self, request: RolloutRequest) -> LaunchReply:
        """Start a process, and wait for its reply.

        The thread also reaps the process at its end. Nobody waits for the thread, so that the console can be
        closed at any time.
        """
        loop = asyncio.get_running_loop()
        result: asyncio.Future[LaunchReply] = loop.create_future()

        def settle(reply: LaunchReply | Exception) -> None:
            if result.done():
                return
            if isinstance(reply, Exception):
                result.set_exception(reply)
            else:
                result.set_result(reply)

        def work() -> None:
            process: subprocess.Popen[bytes] | None = None
            reply: LaunchReply | Exception
            try:
                process, reply = self._start(request)
            except OSError as error:
                text = f"the rollout's process cannot be started: {error.strerror}"
                reply = LaunchReply(status="refused", text=text)
            except Exception as bug:  # nobody may wait for ever
                reply = bug
            try:
                loop.call_soon_threadsafe(settle, reply)
            except RuntimeError:  # the console was closed meanwhile
                pass
            if process is not None:
                process.wait()

        threading.Thread(target=work, name="rollout", daemon=True).start()
        return await result

    def _start(self, request: RolloutRequest) -> tuple[subprocess.Popen[bytes], LaunchReply]:
        """Start the process and wait for its reply. Raises OSError if it cannot be started."""
        with tempfile.TemporaryFile() as errors:
            process = subprocess.Popen(
                [*self._command, request.application],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=dict(self._environment),
                start_new_session=True,
            )
            line = _exchange(process, msgspec.json.encode(request))
            try:
                return process, decode(line, LaunchReply)
            except ValueError:
                errors.seek(0)
                said = errors.read(MAX_ERROR_BYTES).decode(errors="replace").strip()
                why = shorten(" ".join(said.split()), 300) or "it wrote nothing"
                text = f"the rollout's process ended before it began: {why}"
                return process, LaunchReply(status="refused", text=text)


def _exchange(process: "subprocess.Popen[bytes]", request: bytes) -> bytes:
    """Send the request, and return the reply; empty if the process ended without one."""
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("the process has no pipes")
    try:
        process.stdin.write(request)
        process.stdin.close()
    except OSError:  # it has ended; its output says why
        pass
    with process.stdout as output:
        return output.readline(MAX_REPLY_BYTES)
