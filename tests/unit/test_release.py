"""One version everywhere: in pyproject.toml, in the changelog and in what `rolldeck --version` prints."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
RELEASE = re.compile(r"^## \[(\d+\.\d+\.\d+)\] - (\d{4}-\d{2}-\d{2})$", re.MULTILINE)


def releases() -> list[tuple[str, str]]:
    """Version and date of each release in the changelog, newest first."""
    return RELEASE.findall((ROOT / "CHANGELOG.md").read_text())


def test_the_version_printed_is_that_of_the_project_and_of_the_newest_release() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert releases()[0][0] == version
    program = Path(sys.executable).with_name("rolldeck")
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == (f"rolldeck, version {version}\n", "")


def test_the_changelog_has_unreleased_changes_first_and_the_newest_release_next() -> None:
    headings = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == "[Unreleased]"
    assert len(headings) == 1 + len(releases())
    numbers = [tuple(map(int, version.split("."))) for version, _ in releases()]
    assert numbers == sorted(numbers, reverse=True)
    dates = [date for _, date in releases()]
    assert dates == sorted(dates, reverse=True)
