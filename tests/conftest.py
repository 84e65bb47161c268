"""For all tests: nothing is written to the state folder of whoever runs them."""

import os
import signal
import tempfile
from collections.abc import Iterator

import pytest
from hypothesis import settings

settings.register_profile("no clock", deadline=None)  # a busy machine is slow, and that is no failure
settings.load_profile("no clock")


@pytest.fixture(scope="session", autouse=True)
def _state_of_its_own() -> Iterator[None]:
    with tempfile.TemporaryDirectory(prefix="rolldeck-state-") as folder:
        os.environ["XDG_STATE_HOME"] = folder
        yield
        del os.environ["XDG_STATE_HOME"]


@pytest.fixture
def signals_as_before() -> Iterator[None]:
    """For what runs `rolldeck`'s own `main` here: at its end it would have them ignored for good."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
