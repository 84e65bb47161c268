"""SECURITY.md promises nothing that no test holds: each "cannot" names tests, and they are there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "SECURITY.md").read_text()
_TEST = re.compile(r"`(tests/[\w/]+\.py)`")
_POINT = re.compile(r"^- (.+?)(?=^- |^\n|\Z)", re.MULTILINE | re.DOTALL)


def test_every_test_that_is_named_is_there() -> None:
    named = _TEST.findall(PAGE)
    assert len(named) > 40
    for path in named:
        assert "def test_" in (ROOT / path).read_text(), path


def test_every_limit_names_its_tests() -> None:
    points = _POINT.findall(PAGE)
    assert len(points) > 25
    for point in points:
        assert re.search(r":\s+`tests/[^:]+`$", point.strip()), f"no test at its end: {point}"


def test_the_readme_leads_there() -> None:
    readme = (ROOT / "README.md").read_text()
    for page in ("SECURITY.md", "docs/least-rights.md"):
        assert f"]({page})" in readme
