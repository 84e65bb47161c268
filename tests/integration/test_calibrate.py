"""`rolldeck calibrate` on a real HAProxy under load."""

import asyncio
import json
import signal
from pathlib import Path
from random import Random

import pytest

from backends.local_machine import SystemClock
from console.config.config_file import find_and_load
from console.demo.load import Load
from console.sessions import open_session
from orchestrator.canary import calibration
from orchestrator.canary.calibration import Calibration
from orchestrator.session.calibration import Calibrator
from tests.support.forks import fork
from tests.support.rollouts import rolldeck, states, world


async def test_sham_rollouts_change_nothing_and_raise_no_alarm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibration, "BEFORE_S", 1.0)
    monkeypatch.setattr(calibration, "WATCH_S", 3.0)
    seen: list[Calibration] = []
    done = asyncio.Event()

    def note(found: Calibration) -> None:
        seen.append(found)
        done.set()

    async with world(tmp_path / "s", nodes=2, instances=1) as stack:
        before = await states(stack)
        async with (
            Load(80, stack.frontends, slow_share=0.0),
            open_session(find_and_load(str(stack.config_path)), "shop") as session,
        ):
            random = Random(1)  # noqa: S311 - labels, no secrets
            calibrator = Calibrator(await session.load_all_nodes(), SystemClock(), random)
            running = asyncio.ensure_future(calibrator.run(note))
            async with asyncio.timeout(60):
                await done.wait()
            running.cancel()
            await asyncio.wait([running])
        assert await states(stack) == before
    assert seen[0].shams == 1
    assert seen[0].alarms == 0
    assert seen[0].requests > 50
    assert seen[0].errors == 0


async def test_ctrl_c_prints_what_is_known(tmp_path: Path) -> None:
    async with (
        world(tmp_path / "s", nodes=2, instances=1) as stack,
        Load(80, stack.frontends, slow_share=0.0),
    ):
        process = await fork("--config", str(stack.config_path), "calibrate", "shop", "--for", "1h", "--json")
        async with asyncio.timeout(60):
            while b"Ctrl-C ends it" not in await process.stderr.readline():
                pass
            process.send_signal(signal.SIGINT)
            found = json.loads(await process.stdout.read())
            assert await process.wait() == 4
        assert (found["kind"], found["shams"], found["kept_in"]) == ("calibration", 0, None)
        whole = await rolldeck(stack, "calibrate", "shop", "--for", "2s")
        assert whole.code == 0
        assert whole.out.startswith("0 false alarms in 0 sham rollouts within ")
        refused = await rolldeck(stack, "calibrate", "shop", "--for", "soon")
        assert refused.code == 2
