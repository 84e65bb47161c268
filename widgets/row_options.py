"""What an operator wants to see of a table's rows, whatever they are."""

from dataclasses import dataclass, replace
from typing import Generic, Self, TypeVar

Sort = TypeVar("Sort", bound=str)


@dataclass(frozen=True, slots=True)
class RowOptions(Generic[Sort]):
    """Which rows to show, and in which order."""

    sort: Sort
    reverse: bool = False
    filter: str = ""  # a text that they have
    problems_only: bool = False

    def sorted_by(self, sort: Sort) -> Self:
        """Return these options with another sort order, or reversed when it is the same order."""
        return replace(self, sort=sort, reverse=sort == self.sort and not self.reverse)

    def without_limits(self) -> Self:
        """Return these options for all rows."""
        return replace(self, filter="", problems_only=False)
