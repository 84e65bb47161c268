"""Where the demo is: in a folder that nobody can have made before, and nobody else gets into."""

import asyncio
import re
import stat
from pathlib import Path
from types import TracebackType

import pytest

from console.commands import demo


class _Found(Exception):
    pass


def test_the_demo_is_in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    seen: list[tuple[str, int]] = []

    class Nowhere:
        def __init__(self, folder: Path, **_: object) -> None:
            seen.append((folder.name, stat.S_IMODE(folder.stat().st_mode)))

        async def __aenter__(self) -> None:
            raise _Found

        async def __aexit__(
            self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
        ) -> None:
            """Nothing was started."""

    monkeypatch.setattr(demo, "Stack", Nowhere)
    for _ in range(2):
        with pytest.raises(_Found):
            asyncio.run(demo._run_demo(demo.Traffic(1, 0), "unix", False, None))  # type: ignore[arg-type]
    assert [mode for _, mode in seen] == [0o700, 0o700]
    assert all(re.fullmatch("rolldeck-.{8}", name) for name, _ in seen)
    assert seen[0] != seen[1]
    assert list(tmp_path.iterdir()) == []
