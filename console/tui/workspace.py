"""One application as the console works on it: its session, what is seen of it, and how its rollouts begin."""

import os
from collections import deque
from collections.abc import Callable, Mapping

import msgspec

from console.config.config_file import Config
from orchestrator.events.actor import Actor
from orchestrator.events.events import Record
from orchestrator.live.poller import LiveView
from orchestrator.local.launch import Launch, LaunchReply, RolloutRequest
from orchestrator.locks.file import Holder
from orchestrator.session.active_rollout import ActiveRollout
from orchestrator.session.proposal import Proposal
from orchestrator.session.session import Session

MAX_RECORDS = 20_000  # events that the transcript shows


class Workspace:
    """What the screens of one application share. A console has one for each application that it shows.

    Attributes:
        session: of the application. Rollouts do not run in it, but in processes of their own.
        poller: of the load balancers, which the caller runs.
        read_only: why nothing may be changed; empty when it may.
        records: what happened since the console opened, for the transcript: what this console did, and what
            a rollout of another process did. Their numbers are those of this list.
        starting: whether a rollout was requested that has not begun yet, as far as this console knows.
    """

    def __init__(
        self, session: Session, poller: LiveView, config: Config, launch: Launch, read_only: str = ""
    ) -> None:
        """Begin to collect records.

        Args:
            session: see above, as for the other attributes.
            poller: likewise.
            config: as the session was opened with it.
            launch: starts a rollout in another process.
            read_only: likewise.
        """
        self.session = session
        self.poller = poller
        self.read_only = read_only
        self.records = deque[Record](maxlen=MAX_RECORDS)
        self.starting = False
        self._config_file, self._digest = os.path.abspath(config.file), config.digest
        self._launch = launch
        self._entries: set[int] = set()  # of the rollouts that this console has started
        self._count = 0
        # They are only collected here: a subscriber that raises would stop the work.
        self._unsubscribe: list[Callable[[], None]] = [session.bus.subscribe(self._collect)]
        if session.links.local is not None:
            self._unsubscribe.append(session.links.local.subscribe(self._collect))

    def close(self) -> None:
        """Collect no more records."""
        while self._unsubscribe:
            self._unsubscribe.pop()()

    def _collect(self, record: Record) -> None:
        self._count += 1
        self.records.append(msgspec.structs.replace(record, seq=self._count))

    @property
    def name(self) -> str:
        """The name of the application."""
        return self.session.application.name

    @property
    def active(self) -> ActiveRollout | None:
        """The rollout to show: see `SessionLinks.active`."""
        return self.session.active

    @property
    def running_here(self) -> ActiveRollout | None:
        """The rollout that another process on this machine carries out; None while there is none."""
        active = self.active
        return active if active is not None and active.is_local and active.running else None

    @property
    def is_own(self) -> bool:
        """Whether this console has started the rollout to show."""
        local = self.session.links.local
        return local is not None and local.entry is not None and local.entry.id in self._entries

    async def start(
        self,
        proposal: Proposal,
        action: str,
        actor: Actor,
        *,
        locked_by: Holder | None,
        options: Mapping[str, object],
    ) -> LaunchReply:
        """Start the rollout that the operator has agreed to.

        Args:
            proposal: the plan that was shown.
            action: see `RolloutRequest.action`.
            actor: the operator.
            locked_by: see `RolloutRequest.locked_by`.
            options: of an upgrade; see `RolloutRequest`.
        """
        fields = {
            "config_file": self._config_file,
            "digest": self._digest,
            "application": self.name,
            "action": action,
            "kind": proposal.kind,
            "facts": proposal.facts,
            "actor": actor,
            "locked_by": locked_by,
            "reason": proposal.reason,
            **options,
        }
        self.starting = True
        try:
            reply = await self._launch(RolloutRequest(**fields))  # type: ignore[arg-type] # of many types
        except Exception:
            self.starting = False  # not if the console is closed meanwhile: the process goes on
            raise
        self.starting = False
        if reply.status == "started":
            self._entries.add(reply.entry)
        return reply
