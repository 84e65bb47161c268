"""Fixtures that several unit tests share."""

import time
from collections.abc import Iterator

import pytest


@pytest.fixture
def local_time() -> Iterator[None]:
    """Have the same local time on every machine: UTC."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()
