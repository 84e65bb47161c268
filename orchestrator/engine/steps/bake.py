"""Watch a node that is back in rotation under traffic: its health, and the errors that clients see."""

from collections.abc import Mapping, Sequence

from backends.model import AdminState, Server, ServerRef
from backends.text import counted
from orchestrator.balancers.admin_state import inherits_only
from orchestrator.balancers.request_errors import MIN_REQUESTS, RequestTally, Sample, Signals
from orchestrator.balancers.traffic_count import TrafficCount
from orchestrator.engine.health_gate import ConsecutiveChecks
from orchestrator.engine.step_context import StepContext
from orchestrator.errors import BadVersion, StepFailed
from orchestrator.events.events import Baked


def raise_if_bad(context: StepContext, error: StepFailed | None = None) -> None:
    """Raise BadVersion when the judgement on the new version wants this node out of rotation."""
    if reason := context.judgement.failure(context.node.name):
        raise BadVersion(reason) from error


UNDECIDED_S = 30.0  # for which a bake goes on while errors are not explained yet


class ClientErrors:
    """The requests to the servers of one node, and the errors that clients saw, since before it went back.

    Attributes:
        refs: its servers that belong in rotation.
        traffic: the traffic of all servers of their backends since then.
    """

    def __init__(
        self,
        context: StepContext,
        refs: Sequence[ServerRef],
        before: Mapping[ServerRef, Sample],
        traffic: TrafficCount,
    ) -> None:
        """Begin to count from the counters in `before`, which were passed to `traffic` too."""
        self._context = context
        self._tallies = {ref: RequestTally(before[ref]) for ref in refs}
        self.refs = list(refs)
        self.traffic = traffic

    @classmethod
    async def begin(cls, context: StepContext, refs: Sequence[ServerRef]) -> "ClientErrors":
        """Read the counters now, and count from there on."""
        traffic = TrafficCount({ref.backend for ref in refs})
        before = await context.retry_until_reachable(lambda: context.requests(traffic.add))
        return cls(context, refs, before, traffic)

    @property
    def signals(self) -> Signals:
        """What became of the requests until the last read."""
        return self.signals_of(self.refs)

    def signals_of(self, refs: Sequence[ServerRef]) -> Signals:
        """Return what became of the requests to some of these servers until the last read."""
        return sum((self._tallies[ref].signals for ref in refs), Signals())

    async def read(self) -> Signals:
        """Read the counters again.

        Raises:
            StepFailed: clients saw more errors than the policy allows.
            BackendError: a load balancer could not be read.
        """
        context = self._context
        for ref, sample in (await context.balancer_group.requests(self.refs, self.traffic.add)).items():
            self._tallies[ref].add(sample)
        found = self.signals
        if not self._is_judged:
            self._limit(context.policy.max_5xx or 0)
        return found

    @property
    def _is_judged(self) -> bool:
        """Whether the judgement on the version decides, and no number of errors."""
        return self._context.policy.max_5xx is None and self._context.judgement.acts

    def settle(self) -> None:
        """Judge a bake that is over: where there was too little to judge the version by, no error is allowed.

        Raises:
            StepFailed: clients saw errors.
        """
        if self._is_judged and self._context.judgement.is_blind:
            self._limit(0)

    def _limit(self, allowed: int) -> None:
        found = self.signals
        if found.known > allowed:
            raise StepFailed(_format_errors(found, allowed))


async def describe_missing(context: StepContext, refs: list[ServerRef]) -> str | None:
    """Describe the first of these servers that is not in rotation with full health."""
    return next((describe_server(server) for server in await find_missing(context, refs)), None)


async def find_missing(context: StepContext, refs: list[ServerRef]) -> list[Server]:
    """Return the servers that are not in rotation with full health."""
    servers = (await context.balancer_group.servers(refs)).values()
    return [
        server
        for server in servers
        if not server.in_rotation
        and not _had_no_weight(context, server)
        # Nothing that is done to it ends what it inherits: with that it is as far back as it was.
        and not (server.ref in context.inherited and inherits_only(server))
    ]


def describe_server(server: Server) -> str:
    """Describe the status of a server, and on which load balancer."""
    ramp = f", slow start at {server.throttle} %" if server.throttle is not None else ""
    return f"{server.status} on {server.ref.instance}{ramp}"


def _had_no_weight(context: StepContext, server: Server) -> bool:
    """Return whether a server had the weight 0 before: with that it is as far back as it was."""
    return context.originals[server.ref].weight == 0 and server.admin_state is AdminState.READY


async def bake(context: StepContext, checks: ConsecutiveChecks, errors: ClientErrors) -> None:
    """Watch a node for the policy's `bake_time`, and emit what its servers got and how they did.

    Args:
        context: the step context of the node.
        checks: the checks of its own health.
        errors: the errors that clients saw since before it was put back.

    Raises:
        StepFailed: it left the rotation, its own health failed, or clients saw too many errors.
    """
    start = context.control.elapsed_excluding_pauses()
    end = start + context.policy.bake_time
    health = HealthUnderTraffic(context, checks)

    async def probe() -> str | None:
        raise_if_bad(context)
        missing = await find_missing(context, errors.refs)
        lost_check = await health.check(missing)
        await errors.read()
        # A bad check does not end it either: the node gets the time to recover, or to fail.
        now = context.control.elapsed_excluding_pauses()
        if reason := lost_check or ("baking" if now < end or checks.bad else ""):
            return reason
        if now < end + UNDECIDED_S and (undecided := context.judgement.undecided):
            return f"baking longer: {undecided}"
        errors.settle()
        return None

    timeout = context.policy.bake_time + UNDECIDED_S + context.policy.balancer_unreachable_timeout
    try:
        await context.wait_for(probe, timeout=timeout, what="end of bake", at=end, baking=True)
    finally:
        found = errors.signals
        context.baked = Baked(
            node=context.node.name,
            requests=found.started,
            errors=found.hard,
            refused=found.refused,
            retried=found.soft,
            proven=found.hard is not None and found.started >= MIN_REQUESTS,
            duration_s=round(context.control.elapsed_excluding_pauses() - start, 3),
            unattributed=errors.traffic.totals().unattributed,
        )
        context.bus.emit(context.baked)


class HealthUnderTraffic:
    """Judges whether a node in rotation stays healthy, by its own health and HAProxy's checks."""

    def __init__(self, context: StepContext, checks: ConsecutiveChecks) -> None:
        """Begin to watch; a reload of HAProxy from now on is no fault of the node."""
        self._context = context
        self._checks = checks
        self._reloads = context.balancer_group.reloads
        self._was_failing = False

    async def check(self, missing: Sequence[Server]) -> str:
        """Check once, with its servers that are not in rotation with full health.

        Returns:
            What is not as it should be and may get better; empty when nothing is.

        Raises:
            StepFailed: it left the rotation, or its own health failed.
        """
        checks = self._checks
        await checks.check()
        if checks.bad >= checks.needed:
            raise StepFailed(f"own health failed during bake time: {checks.reason}")
        if missing and self._context.balancer_group.reloads > self._reloads:
            # Every server starts unproven then.
            return f"after a reload: {describe_server(missing[0])}"
        lost_check = _describe_failed_check(missing)
        if lost_check and not self._was_failing:  # then its own health decides, as it is now
            await checks.check(immediate=True)
        self._was_failing = bool(lost_check)
        if lost_check and checks.bad:
            raise StepFailed(f"{lost_check}; own health: {checks.reason}")
        return lost_check


def _describe_failed_check(missing: Sequence[Server]) -> str:
    """Describe a failed check of HAProxy, after which own health decides; empty when none failed.

    Args:
        missing: its servers that are not in rotation with full health.

    Raises:
        StepFailed: one of them gets no traffic any more.
    """
    for server in missing:
        if not server.receives_traffic or server.throttle is not None:
            raise StepFailed(f"did not stay in rotation: {describe_server(server)}")
    # Such as "UP 1/2": a check has failed, and HAProxy still sends it traffic.
    return f"failed a health check of HAProxy: {describe_server(missing[-1])}" if missing else ""


def _format_errors(found: Signals, allowed: int) -> str:
    kinds = {
        "answered with 5xx": found.with_5xx - found.refused - found.broken,
        "without a response": found.broken,
        "cut off in the middle": found.cut,
        "refused": found.refused,
    }
    parts = ", ".join(f"{number} {kind}" for kind, number in kinds.items() if number)
    errors, requests = counted(found.known, "error"), counted(found.started, "request")
    return f"clients saw {errors} ({parts}) in {requests} since it is back in rotation, allowed {allowed}"
