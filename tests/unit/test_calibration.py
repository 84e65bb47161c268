"""Sham rollouts of the version that runs, and the file that keeps what they have learned."""

from pathlib import Path
from random import Random

import pytest

from orchestrator.canary.calibration import Calibration, ShamRollouts, expected_duration
from orchestrator.canary.poll import Cell, Lifetime, Poll, Stratum
from orchestrator.canary.settings import CanarySettings
from orchestrator.session.calibration import MAX_AGE_S, calibration_path, read_m, write_calibration

NODES = [f"web{number}" for number in range(1, 5)]
LIFETIMES = [Lifetime("lb1", "shop", node, 144_000, 144, 3600) for node in NODES]


def _run(
    errors_of: dict[str, int], seconds: int, requests: int = 40, settings: CanarySettings | None = None
) -> ShamRollouts:
    """Run for so many seconds; each node has so many errors in each second in which it is its turn."""
    shams = ShamRollouts(settings or CanarySettings(), LIFETIMES, NODES, Random(1))  # noqa: S311 - a simulation
    for second in range(1, seconds + 1):
        cells = []
        for number, node in enumerate(NODES):
            errors = errors_of.get(node, 0) if second % 7 == number else 0
            cells.append(Cell(node, node, "", requests, errors))
        shams.add(Poll("lb1", float(second), 1.0, [Stratum("shop", cells)]))
    return shams


def test_a_steady_service_has_no_false_alarms() -> None:
    shams = _run(dict.fromkeys(NODES, 1), 1800)
    assert 4 <= shams.shams <= 1800 / expected_duration(4) + 2
    assert (shams.alarms, shams.holds, shams.blind) == ([], 0, 0)
    found = shams.calibration(at=1.0, duration_s=1800.0)
    assert found.requests == 1800 * 4 * 40
    assert found.m is not None
    assert 1.25 <= found.m < 4


def test_bursts_are_learned() -> None:
    found = _run(dict.fromkeys(NODES, 9), 3600).calibration(at=1.0, duration_s=1800.0)
    assert found.m is not None
    assert 8 < found.m < 12


def test_a_node_that_changes_is_an_alarm_in_every_sham() -> None:
    shams = _run({"web3": 40}, 1200, settings=CanarySettings(m=1))
    assert shams.shams == len(shams.alarms) > 0
    assert all(alarm.startswith("web3: ") for alarm in shams.alarms)


def test_without_requests_nothing_is_judged() -> None:
    shams = _run({}, 1200, requests=0)
    assert shams.shams == 0
    assert shams.blind > 0
    assert shams.calibration(1.0, 1.0).m is None


def test_polls_are_frequent_after_each_label() -> None:
    shams = ShamRollouts(CanarySettings(), LIFETIMES, NODES, Random(1))  # noqa: S311 - a simulation
    fast = []
    for second in range(1, 200):
        shams.add(Poll("lb1", float(second), 1.0, []))
        fast.append(shams.is_fast(float(second)))
    assert not any(fast[:60])
    assert sum(fast[62:182]) == pytest.approx(60, abs=1)


def test_the_file_keeps_m_for_a_time(tmp_path: Path) -> None:
    path = calibration_path(tmp_path / "state" / "journal.db", "shop/eu")
    assert path == tmp_path / "state" / "calibration" / "shop%2Feu.json"
    assert read_m(path, 0.0) is None
    write_calibration(path, Calibration(at=1000.0, m=3.2))
    write_calibration(path, Calibration(at=2000.0, m=3.5))
    assert read_m(path, 2000.0) == 3.5
    assert read_m(path, 2001.0 + MAX_AGE_S) is None
    assert read_m(path, 1999.0) is None  # a clock that is wrong proves nothing
    path.write_bytes(b'{"m": "much"}')
    assert read_m(path, 2000.0) is None
    assert path.parent.stat().st_mode & 0o077 == 0
