"""The engine without a front end: the program of docs/engine.md upgrades real nodes."""

import asyncio
import re
import sys
from pathlib import Path

from orchestrator.journal.store import Journal
from tests.support.rollouts import NEW, journalled, versions, world

PAGE = Path(__file__).parents[2] / "docs" / "engine.md"
ALONE = """\
import runpy, sys
for name in ("console", "widgets", "textual", "rich", "click"):
    sys.modules[name] = None  # importing it fails
script = sys.argv.pop(1)
runpy.run_path(script, run_name="__main__")
"""


def test_the_files_that_the_page_names_are_there() -> None:
    named = re.findall(r"`([a-z_/]+\.py)`", PAGE.read_text())
    assert len(named) > 4
    assert [file for file in named if not (PAGE.parents[1] / file).is_file()] == []


async def test_the_program_of_the_page_upgrades_real_nodes_without_any_front_end(tmp_path: Path) -> None:
    [program] = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    script = tmp_path / "upgrade.py"
    script.write_text(program)
    async with world(tmp_path / "s", nodes=2) as stack:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", ALONE, str(script), str(stack.config_path), "shop", NEW),
            cwd=PAGE.parents[1],
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        assert process.returncode == 0, err.decode()
        assert out.decode().splitlines()[-1] == "healthy", out.decode()
        assert await versions(stack) == dict.fromkeys(stack.nodes, NEW)
        assert journalled(stack)[-1]["event"] == "rollout_ended"
        with Journal(stack.directory / "journal.db", read_only=True) as journal:
            assert journal.entries("shop")[0].operator == "deploy@ci"
