"""The errors of the demo's application come in the share and in the runs that its release says."""

from itertools import groupby

import msgspec
import pytest

from console.demo.app import Errors
from console.demo.node import Release

REQUESTS = 100_000


def failures(node: str = "web1", **fields: object) -> list[bool]:
    release = msgspec.convert({"version": "1.6.0", **fields}, Release)
    errors = Errors(msgspec.to_builtins(release), node)
    return [bool(errors.find(number)) for number in range(1, REQUESTS + 1)]


@pytest.mark.parametrize(("share", "run"), [(0.2, 1.0), (0.01, 3.0), (0.05, 10.0)])
def test_share_and_length_of_runs(share: float, run: float) -> None:
    found = failures(error_share=share, error_run=run)
    runs = [len(list(group)) for failing, group in groupby(found) if failing]
    assert sum(found) / REQUESTS == pytest.approx(share, rel=0.15)
    # A run is followed by another one with the probability of the share.
    assert sum(runs) / len(runs) == pytest.approx(run / (1 - share), rel=0.1)


def test_a_seed_gives_each_node_its_own_failures() -> None:
    assert failures(error_share=0.2) == failures(error_share=0.2)
    assert failures(error_share=0.2) != failures("web2", error_share=0.2)
    assert failures(error_share=0.2) != failures(error_share=0.2, seed=1)


def test_a_good_release_has_none() -> None:
    assert not any(failures())
    assert all(failures(error_share=1.0, error_run=3.0))
