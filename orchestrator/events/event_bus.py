"""The bus that carries events to the console, the command line and the journal, in the same order to each."""

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar

from backends import command
from backends.protocols import Clock
from orchestrator.events.events import AnyEvent, CommandFinished, CommandSending, CommandStarted, Record

Reader = Callable[[Record], None]


class EventBus:
    """Hands every event to every reader, in order, before `emit` returns.

    When a reader raises, `emit` raises too, after all other readers have had the event: a journal that cannot
    be written must stop the rollout, and everybody must see how that ended.

    Attributes:
        clock: says when an event happened.
        journal_head: the head of the journal's entry (see `orchestrator.journal.chain`) with the newest event
            that was written; empty while there is no journal.
        before_send: called before a command is sent; when one of them raises, the command is not sent, and
            no event says that it was.
        commands_in_flight: number of commands that were sent and whose outcome is not known yet.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._readers: list[Reader] = []
        self._seq = 0
        self.journal_head = ""
        self.before_send: list[Callable[[], None]] = []
        self.commands_in_flight = 0
        self._commands_of: ContextVar[tuple[str, str]] = ContextVar("commands_of", default=("", ""))

    def subscribe(self, reader: Reader, *, first: bool = False) -> Callable[[], None]:
        """Add a reader, before all others if asked; the returned function removes it again."""
        self._readers.insert(0 if first else len(self._readers), reader)
        return lambda: self._readers.remove(reader)

    def emit(self, event: AnyEvent) -> None:
        self._seq += 1
        record = Record(self._seq, self.clock.time(), event)
        failure: Exception | None = None
        for reader in tuple(self._readers):
            try:
                reader(record)
            except Exception as error:
                failure = failure or error
        if failure is not None:
            raise failure

    @contextlib.contextmanager
    def commands_of(self, node: str, step: str) -> Iterator[None]:
        """Record commands within as those of this node and step, also in tasks started within."""
        token = self._commands_of.set((node, step))
        try:
            yield
        finally:
            self._commands_of.reset(token)

    def record(self, report: command.CommandReport) -> None:
        """Emit what a backend reports about a command; it is the `CommandListener` of backends."""
        node, step = self._commands_of.get()
        event: AnyEvent
        match report:
            case command.CommandSending(target, line):
                for check in self.before_send:
                    check()
                event = CommandSending(node=node, step=step, target=target, command=line)
            case command.CommandStarted(target, _, pid, started):
                event = CommandStarted(node=node, step=step, target=target, pid=pid, started=started)
            case command.CommandFinished(target, line, reply, ok, seconds):
                self.commands_in_flight -= 1
                event = CommandFinished(
                    node=node,
                    step=step,
                    target=target,
                    command=line,
                    reply=reply,
                    ok=ok,
                    duration_s=round(seconds, 4),
                )
        self.emit(event)
        if isinstance(report, command.CommandSending):  # it is sent only once its event is written down
            self.commands_in_flight += 1
