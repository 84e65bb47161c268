"""Everything that is known of one node at one moment: what its detail shows, and nothing else."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from backends.model import Server, ServerRef
from orchestrator.live.poller import InstanceView, View
from orchestrator.live.sessions import Seen
from widgets.model import Key
from widgets.pieces import Piece
from widgets.transcript_lines import Line

LONG_STALE = 10.0  # seconds after which old data are no hiccup any more, as in the header


@dataclass(frozen=True, slots=True, eq=False)
class Detail:
    """One node.

    Attributes:
        node: its name.
        keys: backend and server name of each line that it has.
        version: what runs there; empty when nobody knows.
        view: all load balancers, as they were seen last.
        in_flight: the sessions, as far as they were read.
        journal: what happened to it, oldest first.
        now: monotonic seconds of the watch's clock.
    """

    node: str
    keys: tuple[Key, ...]
    version: str
    view: View
    in_flight: Mapping[ServerRef, Seen] = field(default_factory=dict)
    journal: Sequence[Line] = ()
    now: float = 0.0

    def lines(self) -> Iterable[tuple[InstanceView, Server]]:
        """Each server line with the load balancer that has it, in the order of the configuration."""
        for key in self.keys:
            for instance in self.view.instances:
                if (server := instance.server(key)) is not None:
                    yield instance, server

    def age(self, instance: InstanceView) -> float:
        """Seconds since its data came."""
        return 0.0 if instance.read_at is None else max(0.0, self.now - instance.read_at)

    def connection(self, instance: InstanceView) -> Piece:
        """A load balancer's state as glyph and words."""
        if instance.state == "live":
            return "● live", "ok"
        if instance.state == "connecting":
            return "◌ connecting", "moving"
        age = self.age(instance)
        return f"✗ stale {age:.0f} s", "bad" if age >= LONG_STALE else "moving"
