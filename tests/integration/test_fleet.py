"""Several applications behind the same real HAProxies: `rolldeck apps`."""

import asyncio
import contextlib
import json
from pathlib import Path

from tests.support.fleet_world import FleetWorld
from tests.support.rollouts import rolldeck


async def test_all_applications_at_a_glance(tmp_path: Path) -> None:
    async with FleetWorld(tmp_path / "s", applications=4, real=("shop",), nodes=2, servers=3) as world:
        _, lone, other, _ = world.applications
        await world.set_states({f"{other}/{other}-02": "maint"})
        loading = asyncio.create_task(world.load({"shop": 40.0, lone: 20.0}))
        run = await rolldeck(world, "apps", "--json")
        found = {row["application"]: row for row in map(json.loads, run.out.splitlines())}
        assert list(found) == list(world.applications)
        assert (run.code, found["shop"]["attention"], found[other]["attention"]) == (1, "quiet", "out")
        assert (found["shop"]["in_rotation"], found["shop"]["nodes"]) == (2, 2)
        assert (found["shop"]["versions"], found[other]["out"]) == ({"1.4.2": 2}, [f"{other}-02"])
        assert 0 < found["shop"]["requests_per_s"] < 60
        assert 0 < found[lone]["requests_per_s"] < 40
        assert found["shop"]["error_ratio"] == 0
        assert 2 <= found["shop"]["response_ms"] < 500
        # A dead HAProxy is a reason in each row, and the other one still answers.
        await world.instances["lb2"].kill()
        run = await rolldeck(world, "apps")
        loading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await loading
        lines = run.out.splitlines()
        assert run.code == 1
        assert all("lb2: " in line for line in lines[1:])
        assert next(line for line in lines if " shop " in line).split()[:3] == ["✗", "shop", "2/2"]
