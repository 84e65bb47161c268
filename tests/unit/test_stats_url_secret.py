"""A password in the URL of a statistics page would stand in every error: it is refused, and not repeated."""

import pytest

from backends.errors import ConfigError
from console.config.config_file import parse


@pytest.mark.parametrize("who", ["admin:hunter2", "hunter2", ":hunter2"])
def test_no_user_or_password_in_the_url(who: str) -> None:
    raw = {"haproxy": {"lb1": {"stats_url": f"http://{who}@127.0.0.1:8404/stats"}}}
    with pytest.raises(ConfigError, match=r"haproxy\.lb1.*username and password_env") as refused:
        parse(raw, "config.toml")
    assert "hunter2" not in str(refused.value)
