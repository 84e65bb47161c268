"""The blocks of docs/least-rights.md, so that the tests use what the page tells operators to write."""

import re
from pathlib import Path

GUIDE = Path(__file__).parents[2] / "docs" / "least-rights.md"
_BLOCK = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[str]:
    """The blocks of a language, such as `toml` or `sudoers apt`, in their order."""
    return [body for name, body in _BLOCK.findall(GUIDE.read_text()) if name == language]


def block(language: str) -> str:
    """The only one."""
    [found] = blocks(language)
    return found
