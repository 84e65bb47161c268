"""Upgrades under load to good and bad versions, on real nodes: bad ones are stopped at a small price."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.canary_cases import CASES
from tests.support.canary_trials import FIRST, try_out

MOST_FAILED = 50
MOST_FAILED_OF_ALL = 90  # of 40 requests per second, in which six polls at a quarter of a second must fail
LONG = pytest.mark.long


@pytest.mark.parametrize(
    "case",
    [
        "errors",
        *(pytest.param(case, marks=LONG) for case in ("resets", "silence", "dies", "all-fail", "few-errors")),
        *(pytest.param(case, marks=LONG) for case in ("reload", "clear", "kill", "ramp")),
    ],
)
async def test_a_bad_version_is_stopped_at_its_first_node(tmp_path: Path, case: str) -> None:
    done = await try_out(tmp_path / "s", replace(CASES[case], warm_up_s=2.0))
    assert done["code"] == 1, done
    assert done["failed_since"] <= (MOST_FAILED_OF_ALL if case == "all-fail" else MOST_FAILED), done
    assert (done["others_drained"], done["out_at_end"]) == ([], [FIRST])


@pytest.mark.long
async def test_a_version_that_draws_requests_by_failing_them_is_stopped_in_time(tmp_path: Path) -> None:
    done = await try_out(tmp_path / "s", CASES["magnet"])
    (bad,) = [verdict for verdict in done["verdicts"] if verdict["state"] == "bad"]
    assert bad["errors"] < 130, done  # more than 150 without the rule for that
    assert (done["code"], done["others_drained"], done["out_at_end"]) == (1, [], [FIRST])


@pytest.mark.long
@pytest.mark.parametrize("case", ["good-dirty", "good-reload", "good-clear", "good-kill"])
async def test_a_good_version_is_rolled_out(tmp_path: Path, case: str) -> None:
    done = await try_out(tmp_path / "s", CASES[case])
    assert (done["code"], done["out_at_end"]) == (0, []), done
    assert set(done["versions"].values()) == {"1.6.0"}


@pytest.mark.long
@pytest.mark.parametrize("case", ["incident", "incident-all"])
async def test_errors_of_all_nodes_are_not_blamed_on_the_new_version(tmp_path: Path, case: str) -> None:
    done = await try_out(tmp_path / "s", CASES[case])
    states = [verdict["state"] for verdict in done["verdicts"]]
    assert done["code"] == 1, done
    assert "hold" in states
    assert "bad" not in states
    assert (done["others_drained"], done["out_at_end"]) == ([], [])


@pytest.mark.long
async def test_a_version_that_hangs_is_held_long_before_its_requests_time_out(tmp_path: Path) -> None:
    done = await try_out(tmp_path / "s", replace(CASES["hangs"], timeout_s=25.0))
    hold = next(verdict for verdict in done["verdicts"] if verdict["state"] == "hold")
    assert "have been waiting for an answer for more than 3 s" in hold["reason"]
    assert hold["after_s"] - done["back_s"] <= 10, hold
    assert (done["others_drained"], done["out_at_end"]) == ([], [])


@pytest.mark.long
async def test_a_slow_version_is_held(tmp_path: Path) -> None:
    # Without an operator, it ends after five minutes; that is not waited for.
    done = await try_out(tmp_path / "s", replace(CASES["slow"], timeout_s=150.0))
    hold = next(verdict for verdict in done["verdicts"] if verdict["state"] == "hold")
    assert hold["slower"] > 10, hold
    assert hold["after_s"] - done["back_s"] <= 120, hold
    assert (done["others_drained"], done["out_at_end"]) == ([], [])


@pytest.mark.long
async def test_without_traffic_no_version_is_good(tmp_path: Path) -> None:
    done = await try_out(tmp_path / "s", CASES["no-traffic"])
    assert {verdict["state"] for verdict in done["verdicts"]} == {"blind"}, done
