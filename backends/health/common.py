"""What all health checks share: how often a check runs, and text that is fit to be shown."""

import unicodedata

from backends.installers.versions import check_pattern
from backends.kinds import TaggedSettings
from backends.model import HealthResult

MAX_DETAIL_CHARS = 200  # of an application's own words
NODE_MARGIN_S = 5.0  # for the way to a node and back, beyond the time-out of the check itself


class HealthKind(TaggedSettings, kw_only=True, frozen=True):
    """Settings of every health check.

    Attributes:
        timeout: seconds for one check, from the first packet to the last.
        successes: number of consecutive checks that have to succeed.
        interval: seconds from one check to the next.
        version_regex: regular expression with one group that extracts the application's own version from
            that of a package: of 1.5.0-1 the application may report 1.5.0.
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
        """Whether a check from this machine reports the version that runs."""
        return False


def healthy(detail: str, version: str | None = None) -> HealthResult:
    """A good result; what an application says is made printable."""
    return HealthResult(True, printable(detail), None if version is None else printable(version))


def unhealthy(detail: str) -> HealthResult:
    """A bad result; what an application says is made printable."""
    return HealthResult(False, printable(detail))


def printable(text: str) -> str:
    """Return one line without control characters, which could manipulate a terminal."""
    # Category C: control, format (writing direction), surrogates, private use, unassigned.
    visible = (
        " " if unicodedata.category(char)[0] in "CZ" else char for char in text[: 4 * MAX_DETAIL_CHARS]
    )
    line = " ".join("".join(visible).split())
    return line if len(line) <= MAX_DETAIL_CHARS else f"{line[: MAX_DETAIL_CHARS - 3]}..."
