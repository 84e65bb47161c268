"""What another machine has published and not finished is one finding of a plan that is only looked at."""

from pathlib import Path
from typing import Any

import pytest

from backends.consul.signing import Signer
from orchestrator.planning.findings import Severity
from orchestrator.session.takeover import add_published_finding
from tests.support.fake_fleet import World
from tests.unit.test_takeover import OTHER, SIGNED, SIGNER, VALUE, desk


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    ("value", "signer", "severity", "words"),
    [
        (SIGNED, SIGNER, Severity.WARNING, "was not finished, and has left web2 as it was then: `rolldeck"),
        (VALUE, None, Severity.ERROR, "has left web2 as it was then; it comes from Consul unauthenticated"),
        (OTHER, SIGNER, Severity.WARNING, "key rolldeck/shop/rollout in Consul is ignored"),
    ],
)
async def test_one_finding_and_nothing_is_taken_over(
    tmp_path: Path, value: bytes, signer: Signer | None, severity: Severity, words: str
) -> None:
    world = World(2, 1)
    world.take_out("web2")
    session: Any = desk(tmp_path, value, signer)
    session.application = world.application
    before = await world.plan()
    plan = await add_published_finding(session, before)
    [finding] = plan.findings[len(before.findings) :]
    assert (finding.severity, finding.subject) == (severity, "rollouts")
    assert words in finding.text
    assert session.work_log.last_unfinished() is None
