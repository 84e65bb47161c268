"""From the configuration's `kind` to the adapter."""

import msgspec
import pytest

from backends.command import Command
from backends.kinds import ServiceSettings, make_service
from backends.protocols import ServiceManager
from tests.support.scripted_host import ScriptedHost


def made(section: dict[str, object]) -> ServiceManager:
    settings: ServiceSettings = msgspec.convert(section, ServiceSettings)
    return make_service(settings, ScriptedHost(), {"node": "web1"})


@pytest.mark.parametrize(
    ("section", "stop"),
    [
        ({"kind": "monit", "name": "shop"}, Command(("monit", "stop", "shop"))),
        (
            {"kind": "systemd", "name": "shop", "user": True},
            Command(("systemctl", "--user", "--no-block", "stop", "--", "shop")),
        ),
        (
            {"kind": "supervisor", "name": "shop:{node}", "command": "supervisorctl -c /etc/s.conf"},
            Command(("supervisorctl", "-c", "/etc/s.conf", "stop", "shop:web1")),
        ),
        (
            {"kind": "container", "name": "shop-{node}", "stop_timeout": 5},
            Command(("docker", "stop", "-t", "5", "shop-web1")),
        ),
        (
            {"kind": "command", "start": "up", "stop": "down {node}", "status": "how"},
            Command(("sh", "-c", "down web1")),
        ),
    ],
)
def test_each_kind(section: dict[str, object], stop: Command) -> None:
    assert made(section).stop_command() == stop


@pytest.mark.parametrize(
    "section", [{"name": "shop"}, {"kind": "upstart", "name": "shop"}, {"kind": "monit"}]
)
def test_a_section_that_is_no_service(section: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        made(section)
