"""How long a lock in Consul lasts: said as people need it, given to Consul as it counts."""

from pathlib import Path

import msgspec
import pytest

from orchestrator.settings import LockSettings


@pytest.mark.parametrize(("ttl", "delay", "session"), [(30, 5, 12), (21, 0, 10), (26, 5, 10), (60, 0, 29)])
def test_twice_the_session_and_the_delay_fit_into_it(ttl: int, delay: int, session: int) -> None:
    settings = LockSettings(ttl=ttl, lock_delay=delay)
    assert settings.session_ttl == session
    assert 2 * settings.session_ttl + settings.lock_delay < settings.ttl


@pytest.mark.parametrize(("ttl", "delay"), [(20, 0), (25, 5), (3601, 5)])
def test_what_consul_cannot_keep_is_refused(ttl: int, delay: int) -> None:
    with pytest.raises(msgspec.ValidationError, match=rf"ttl: found {ttl}, expected {21 + delay} to 3600"):
        msgspec.convert({"ttl": ttl, "lock_delay": delay}, LockSettings)


def test_the_example_names_the_shortest_time() -> None:
    text = (Path(__file__).parents[2] / "config.toml").read_text(encoding="utf-8")
    shortest = 26
    msgspec.convert({"ttl": shortest}, LockSettings)
    assert f"21 + `lock_delay` at least ({shortest} here), 3600 at most" in text
