"""The numbers of one row: sums, rates and trends over all places where its servers stand."""

from abc import ABC, abstractmethod

from orchestrator.live.poller import InstanceView, View

NOWHERE = -1
Where = list[tuple[InstanceView, list[int]]]
"""A load balancer, and where it has the server of each place; `NOWHERE` when it does not know it."""


class Sums(ABC):
    """Only what is live counts. Each number is computed when somebody asks for it."""

    def __init__(self, view: View, where: list[list[int]]) -> None:
        """
        Args:
            view: of the watch.
            where: for each load balancer, where it has the server of each place.
        """
        self.view = view
        self.all: Where = list(zip(view.instances, where, strict=True))
        self.live: Where = [(each, at) for each, at in self.all if each.state == "live"]

    @abstractmethod
    def _at(self, place: int, among: Where) -> list[tuple[InstanceView, int]]:
        """Where these load balancers have what is in this place."""

    def seen(self, place: int) -> list[tuple[InstanceView, int]]:
        """Where it stands on those that are live; where none that has it is, on those that had it last."""
        return self._at(place, self.live) or self._at(place, self.all)

    def sessions(self, place: int) -> int:
        return sum(each.columns.sessions[at] for each, at in self.seen(place))

    def response(self, place: int) -> int | None:
        times = (each.columns.response[at] for each, at in self.seen(place))
        return max((each for each in times if each is not None), default=None)

    def rate(self, place: int) -> float | None:
        """Over all that are live. None when none of them can tell."""
        rates = [each.rates.rate(at) for each, at in self._at(place, self.live)]
        known = [each for each in rates if each is not None]
        return sum(known) if known else None

    def errors(self, place: int) -> tuple[float | None, bool]:
        """The share of requests that ended in an error for the client, between the last two looks of each.

        Returns:
            The share, None without requests; and whether it is known anywhere, which it is not in TCP mode.
        """
        counts = [each.rates.counts(at) for each, at in self._at(place, self.live)]
        known = [(requests, failed) for requests, failed in counts if failed is not None]
        requests, failures = (sum(column) for column in zip(*known, strict=True)) if known else (0, 0)
        # One whose request began before the first of the two looks is an error without a request.
        return (failures / max(requests, failures) if requests or failures else None), bool(
            known or not counts
        )

    def trend(self, place: int) -> tuple[float, ...]:
        """The sums, aligned at the latest; as long as the shortest of those that have any."""
        trends = [each.rates.trend(at) for each, at in self._at(place, self.live)]
        known = [each for each in trends if each]
        shortest = min(map(len, known), default=0)
        return tuple(map(sum, zip(*(each[-shortest:] for each in known), strict=True))) if known else ()
