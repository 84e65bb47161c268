"""Control requests that other machines send through Consul: each is read, checked, and carried out once."""

import time
from collections.abc import Sequence
from typing import Annotated

import msgspec

from backends.consul.client import Pair
from backends.consul.signing import Signer, open_value
from backends.text import shorten
from backends.untrusted import MAX_SHOWN_CHARS, Count, Name, Time, check_printable, decode
from orchestrator.engine.control import RolloutControl
from orchestrator.engine.operator_requests import ControlAction, OperatorRequests
from orchestrator.events.actor import Actor
from orchestrator.events.events import NodeNote, Record

MAX_REQUEST_BYTES = 4_096  # bytes of one request
CLOCK_TOLERANCE_S = 300.0  # seconds between the time of a signed request and our clock, at most
MAX_NAMED_REFUSALS = 20  # refused requests that are reported; more would fill the journal

_Nonce = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{16,64}\Z")]


class ControlRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request from another machine to a rollout.

    Attributes:
        who: `user@machine`.
        subject: of the question that is answered: a node or a batch; empty for the only one.
        uid, credential: as `orchestrator.events.actor.Actor` has them on that machine.
        fence: of the rollout that is meant, and no other.
        nonce: a random number, so that a request is carried out only once.
        at: when it was made, seconds since 1970.
    """

    what: ControlAction
    who: Name
    subject: Annotated[str, msgspec.Meta(max_length=255)] = ""
    uid: Annotated[int, msgspec.Meta(ge=-1, lt=2**32)] = -1
    credential: Annotated[str, msgspec.Meta(max_length=255)] = ""
    fence: Count
    nonce: _Nonce
    at: Time


class ControlRequests:
    """Carries out the requests to one rollout.

    Args:
        fence: of the rollout; a request with another one was for an earlier rollout.
        control: of the rollout.
        signer: verifies requests; None to accept any.
    """

    def __init__(self, fence: int, control: RolloutControl, signer: Signer | None = None) -> None:
        self._fence = fence
        self._control = control
        self._requests = OperatorRequests(lambda: control, "requested from another machine")
        self._signer = signer
        self._taken: set[str] = set()  # nonces
        # By key and index: whether the request was carried out, for those that are still in Consul.
        self._read: dict[tuple[str, int], bool] = {}
        self._named = 0

    def watch(self, record: Record) -> None:
        """Note an abort, which may also come from elsewhere; this is a reader of the bus."""
        self._requests.watch(record)

    def forget_all_but(self, pairs: Sequence[Pair]) -> None:
        """Forget requests that are gone from Consul: only those in it can be read a second time."""
        there = {(pair.key, pair.modified) for pair in pairs}
        self._read = {read: done for read, done in self._read.items() if read in there}

    def take(self, pair: Pair) -> bool:
        """Carry out the request in a key, or report why not; returns whether it was carried out."""
        read = (pair.key, pair.modified)
        if read not in self._read:
            self._read[read] = False
            self._read[read] = self._take(pair)
        return self._read[read]

    def _take(self, pair: Pair) -> bool:
        try:
            request, verified = self._checked(pair.value)
        except ValueError as error:
            key = shorten(pair.key, MAX_SHOWN_CHARS)
            self._refuse(f"the request in Consul's key {key} was refused: {error}")
            return False
        claimed = [f"uid {request.uid}"] if request.uid >= 0 else []
        claimed += [request.credential] if request.credential else []
        proof = "signed with our key" if verified else "not verified"
        credential = ", ".join([proof, *claimed])
        self._carry_out(request, Actor(request.who, "consul", credential=credential))
        return True

    def _checked(self, value: bytes) -> tuple[ControlRequest, bool]:
        """Return a request, and whether it is signed. Raises ValueError if it must not be carried out."""
        if len(value) > MAX_REQUEST_BYTES:
            raise ValueError(f"it has {len(value)} bytes, expected at most {MAX_REQUEST_BYTES}")
        opened = open_value(self._signer, "request", value)
        if opened.doubt:
            raise ValueError(opened.doubt)
        request = decode(opened.content, ControlRequest)
        for what in ("who", "subject", "credential"):
            check_printable(what, getattr(request, what))
        if request.fence != self._fence or not self._fence:  # without one nobody can have seen this rollout
            raise ValueError(
                f"{request.who} sent it for another rollout (fence {request.fence}, not {self._fence})"
            )
        if request.nonce in self._taken:
            raise ValueError(f"{request.who} has sent it before")
        late = time.time() - request.at
        if opened.verified and abs(late) > CLOCK_TOLERANCE_S:
            when = f"{late:.0f} s ago" if late > 0 else f"in {-late:.0f} s"
            raise ValueError(
                f"{request.who} signed it {when} by our clock, expected at most {CLOCK_TOLERANCE_S:.0f} s"
            )
        self._taken.add(request.nonce)
        return request, opened.verified

    def _carry_out(self, request: ControlRequest, actor: Actor) -> None:
        if refusal := self._requests.carry_out(request.what, actor, request.subject):
            self._control.record(NodeNote(node="", text=f"{actor} requested {request.what}, but {refusal}"))

    def _refuse(self, text: str) -> None:
        self._named += 1
        if self._named <= MAX_NAMED_REFUSALS:
            last = "; further requests are not listed" if self._named == MAX_NAMED_REFUSALS else ""
            self._control.record(NodeNote(node="", text=f"{text}{last}"))
