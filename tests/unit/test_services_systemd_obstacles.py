"""systemd: what keeps a unit from stopping or starting, or would start it again."""

import pytest

from backends.services.systemd import SystemdService, SystemdSettings
from backends.services.systemd_unit import (
    LINGER,
    MAX_RELATED_UNITS,
    NOT_ALLOWED,
    parse_units,
    related_units,
    relation_caveats,
    socket_obstacles,
    unit_caveats,
    upheld_obstacles,
)
from tests.support.scripted_host import Answer, ScriptedHost
from tests.unit.test_services_systemd import RUNNING, service, shown


@pytest.mark.parametrize(
    ("properties", "obstacle"),
    [
        (shown("active", "running", CanStart="yes", CanStop="yes"), ""),
        (shown("active", "running"), ""),
        (shown("active", "running", UnitFileState="static"), ""),
        # It has failed, and can be started.
        (shown("failed", "failed", Result="exit-code", CanStart="yes", CanStop="yes"), ""),
        (shown("active", "running", LoadState="masked", CanStart="no"), "is masked"),
        (shown("inactive", "dead", LoadState="masked"), "first run: systemctl unmask -- shop@web1.service"),
        (shown("active", "running", LoadState="not-found", CanStart="no"), "no unit file"),
        (shown("active", "running", LoadState="bad-setting", CanStart="no"), "(bad-setting)"),
        (shown("active", "running", LoadState="error"), "(error)"),
        (shown("active", "running", RefuseManualStop="yes", CanStop="no"), "RefuseManualStop=yes"),
        (shown("active", "running", RefuseManualStart="yes", CanStart="no"), "RefuseManualStart=yes"),
        (shown("active", "running", CanStart="no"), "CanStart=no"),
    ],
)
async def test_what_keeps_systemd_from_stopping_or_starting(
    properties: dict[str, str], obstacle: str
) -> None:
    systemd, host = service(Answer("".join(f"{key}={value}\n" for key, value in properties.items())))
    found = await systemd.obstacles()
    assert len(found) == bool(obstacle)
    assert obstacle in "".join(found)
    assert host.ran == [systemd.state_command()], "nothing but the question"
    assert host.recorded == []


RELATED = """\
Id=shop.socket
ActiveState=active
Listen=/run/shop.sock (Stream)
Listen=127.0.0.1:8080 (Stream)

Id=shop.timer
ActiveState=active

Id=cache.service
ActiveState=active

Id=idle.service
ActiveState=inactive
"""


def test_a_socket_of_systemd_that_holds_the_port() -> None:
    units = parse_units(RELATED)
    [found] = socket_obstacles("shop.service", "8080", units)
    assert found.startswith("shop.socket keeps port 8080 open while shop.service is stopped")
    assert socket_obstacles("shop.service", "", units) == (found,), "any port may be it"
    assert socket_obstacles("shop.service", "80", units) == ()
    assert socket_obstacles("shop.service", "8080", parse_units(RELATED.replace("=active", "=failed"))) == ()


def test_what_else_starts_a_unit_or_stops_with_it() -> None:
    properties = {
        "TriggeredBy": "shop.socket shop.timer",
        "BoundBy": "cache.service idle.service",
        "RequiredBy": "cache.service multi-user.target",
    }
    starts, stops = relation_caveats(properties, parse_units(RELATED), "8080")
    assert starts == "shop.timer starts its unit too, also while it is stopped for an upgrade"
    assert stops == "what stops with its unit, and is not started again with it: cache.service"
    properties["Wants"] = "network.target cache.service"
    starts, stops = relation_caveats(properties, parse_units(RELATED), "8080")
    assert stops == "what stops with its unit, and is started again with it: cache.service"


def test_units_that_would_start_it_again_at_once() -> None:
    properties = {"UpheldBy": "cache.service idle.service", "BoundBy": "idle.service"}
    [found] = upheld_obstacles("shop.service", properties, parse_units(RELATED))
    assert found.startswith("cache.service upholds shop.service (Upholds=): systemd would start it again")
    assert relation_caveats(properties, parse_units(RELATED)[2:], "8080") == ()


def test_of_related_units_only_names_are_taken_and_not_too_many() -> None:
    named = {
        "TriggeredBy": "-.mount --version a;b.timer a$(b).timer shop.timer",
        "BoundBy": r"app\x2done@1.service shop.timer x.slice",
    }
    assert related_units(named) == ("shop.timer", r"app\x2done@1.service")
    assert related_units({"UpheldBy": "a.target --help b.service"}) == ("a.target", "b.service")
    many = {"RequiredBy": " ".join(f"unit{number}.service" for number in range(9_999))}
    assert len(related_units(many)) == MAX_RELATED_UNITS


@pytest.mark.parametrize(
    ("properties", "caveat"),
    [
        ({"UnitFileState": "enabled", "Restart": "always", "Type": "notify", "KillMode": "mixed"}, ""),
        ({"UnitFileState": "disabled"}, "is disabled: systemd would not start it after a reboot"),
        ({"UnitFileState": "static"}, "has no [Install] section"),
        ({"UnitFileState": "static", "WantedBy": "shop.target"}, ""),
        ({"UnitFileState": "enabled-runtime", "WantedBy": "multi-user.target"}, "until the next reboot only"),
        ({"Restart": "no"}, "Restart=no"),
        ({"Type": "oneshot"}, "Type=oneshot"),
        ({"KillMode": "process"}, "may live on after a stop"),
        ({"NeedDaemonReload": "yes"}, "systemctl daemon-reload"),
    ],
)
def test_what_a_rollout_or_a_reboot_may_meet(properties: dict[str, str], caveat: str) -> None:
    found = unit_caveats(shown("active", "running", **properties))
    assert len(found) == bool(caveat)
    assert caveat in "".join(found)


@pytest.mark.parametrize(
    ("command", "user", "said", "known"),
    [
        ("systemctl", False, "not\n", True),
        ("systemctl", False, "allowed\n", False),
        ("systemctl", False, "", False),
        ("systemctl", True, "not\n", False),
        ("sudo -n systemctl", False, "not\n", False),
    ],
)
async def test_what_polkit_may_refuse(command: str, user: bool, said: str, known: bool) -> None:
    host = ScriptedHost(lambda command: Answer(said if command.argv[0] == "sh" else RUNNING))
    unit = SystemdService(host, SystemdSettings(name="shop", command=command, user=user), {})
    assert (NOT_ALLOWED in await unit.caveats()) is known


@pytest.mark.parametrize(
    ("linger", "caveat"),
    [
        (Answer("Linger=yes\n"), ""),
        (Answer("Linger=no\n"), "ends with that user's last login"),
        (Answer("", "Failed to connect to bus: No medium found\n", 1), "cannot be checked: Failed to"),
    ],
)
async def test_whether_the_systemd_of_a_user_outlives_logins(linger: Answer, caveat: str) -> None:
    host = ScriptedHost(lambda command: linger if command == LINGER else Answer(RUNNING))
    found = await SystemdService(host, SystemdSettings(name="shop", user=True), {}).caveats()
    assert [caveat in text for text in found] == ([True] if caveat else [])
    await SystemdService(host, SystemdSettings(name="shop"), {}).caveats()
    assert host.ran.count(LINGER) == 1
