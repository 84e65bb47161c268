"""The pages for readers name files that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")]
PAGES += sorted((ROOT / "docs").rglob("*.md"))
_FILE = re.compile(r"(?<![\w/.*])(?:console|widgets|orchestrator|backends|tests|docs)/[\w/.*-]*\w/?")
_LINK = re.compile(r"\]\((?!https?:)([^)#]+)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_names_files_that_exist(page: Path) -> None:
    text = page.read_text()
    missing = [name for name in _FILE.findall(text) if not list(ROOT.glob(name))]
    missing += [name for name in _LINK.findall(text) if not (page.parent / name).exists()]
    assert missing == []
