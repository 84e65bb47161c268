"""For all tests: nothing is written to the state folder of whoever runs them."""

import os
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
