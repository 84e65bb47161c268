"""What all health checks have in common: how often to look, and words fit to be shown."""

import unicodedata

from backends.installers.versions import check_pattern
from backends.kinds import TaggedSettings
from backends.model import HealthResult

MAX_DETAIL = 200  # characters of an application's own words
MARGIN = 5.0  # seconds for the way to a node and back, beyond what the look there may take


class HealthKind(TaggedSettings, kw_only=True, frozen=True):
    """Common settings.

    Attributes:
        timeout: seconds for one look, from the first packet to the last.
        successes: looks that have to be good in a row.
        interval: seconds from one look to the next.
        version_regex: regular expression with one group that finds, in a version, what the application calls
            it: of the package 1.5.0-1 it may say 1.5.0.
    """

    timeout: float = 5.0
    successes: int = 3
    interval: float = 0.5
    version_regex: str = ""

    def __post_init__(self) -> None:
        if self.timeout <= 0:
            raise ValueError(f"timeout: found {self.timeout:g}, expected more than 0 seconds")
        if self.interval < 0:
            raise ValueError(f"interval: found {self.interval:g}, expected 0 seconds or more")
        if self.successes < 1:
            raise ValueError(f"successes: found {self.successes}, expected at least 1")
        check_pattern(self.version_regex)

    @property
    def reports_version(self) -> bool:
        """Whether a look from this machine tells which version runs."""
        return False


def healthy(detail: str, version: str | None = None) -> HealthResult:
    return HealthResult(True, printable(detail), None if version is None else printable(version))


def unhealthy(detail: str) -> HealthResult:
    return HealthResult(False, printable(detail))


def printable(text: str) -> str:
    """One line without control characters, which an application may send to fool a terminal."""
    # Category C: control, format (writing direction), surrogates, private use, unassigned.
    seen = (" " if unicodedata.category(each)[0] in "CZ" else each for each in text[: 4 * MAX_DETAIL])
    line = " ".join("".join(seen).split())
    return line if len(line) <= MAX_DETAIL else f"{line[: MAX_DETAIL - 3]}..."
