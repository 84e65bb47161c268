"""What Consul says of one instance, cut to what an operator can read; and the commands for its agent."""

import json
from typing import TYPE_CHECKING, cast

import msgspec
import pytest

from backends.consul.answers import decode_entries
from backends.consul.catalog import MAX_TEXT_CHARS, ConsulRegistration, ConsulService
from tests.support.fake_node import FakeHost, FakeNode

if TYPE_CHECKING:
    from backends.consul.client import Consul
    from backends.protocols import Host


def entry(name: str, identity: str, *checks: tuple[str, str, str]) -> dict[str, object]:
    """Of the node `name`; each check has an id, a status and notes."""
    return {
        "Node": {"Node": name, "Address": "10.0.0.1", "Meta": None},
        "Service": {"ID": identity, "Address": "", "Port": 80, "Meta": None},
        "Checks": [
            {"CheckID": id_, "Name": id_, "Status": status, "Notes": notes} for id_, status, notes in checks
        ],
    }


class Answers:
    """A Consul that gives these instances, whatever it is asked for: one before 1.5 knows no filter."""

    def __init__(self, *entries: dict[str, object]) -> None:
        self.entries = decode_entries(json.dumps(entries).encode(), "test")

    async def services(self, *_: object, **__: object) -> tuple[int, object]:
        return 1, self.entries


def registration(consul: Answers, **settings: object) -> ConsulRegistration:
    raw = {"kind": "consul", "service": "shop", "maintenance": "consul maint", **settings}
    service = msgspec.convert(raw, ConsulService)
    host = cast("Host", FakeHost(FakeNode("web1")))
    return ConsulRegistration(cast("Consul", consul), service, "web1", host, {"node": "web1"})


@pytest.mark.virtual_time
async def test_without_its_id_there_is_no_command_as_that_would_mean_the_whole_machine() -> None:
    made = registration(Answers(entry("web2", "shop-2"), entry("web1", "shop-1")))
    assert made.enable_command() is None
    assert made.disable_command() is None
    assert (await made.query()).exists
    back = made.disable_command()
    assert back is not None
    assert back.argv == ("consul", "maint", "-service=shop-1", "-disable")


@pytest.mark.virtual_time
async def test_what_others_have_written_is_cut() -> None:
    bad = [(f"{number}{'x' * 100_000}", "critical", "") for number in range(50)]
    maint = ("_service_maintenance:shop-1", "critical", "Rolldeck rollout" + "y" * 100_000)
    seen = await registration(
        Answers(entry("web1", "shop-1", maint, *bad)), require_consul_checks="passing"
    ).query()
    assert seen.set_by_rollout
    assert len(seen.maintenance) == MAX_TEXT_CHARS
    assert len(seen.failing_checks) == 4
    assert seen.failing_checks[-1] == "47 more"
    assert all(len(text) < MAX_TEXT_CHARS + 20 for text in seen.failing_checks)


@pytest.mark.parametrize("command", ["consul maint -token=secret", "consul maint --token secret"])
def test_a_token_in_the_command_is_refused_without_being_shown(command: str) -> None:
    with pytest.raises(msgspec.ValidationError, match="a -token would be shown") as caught:
        registration(Answers(), maintenance=command)
    assert "secret" not in str(caught.value)
    registration(Answers(), maintenance="consul maint -token-file=/etc/consul.d/token")


@pytest.mark.virtual_time
async def test_maintenance_by_any_number_of_checks_is_told_in_short() -> None:
    checks = [(f"_service_maintenance:{number}", "critical", "r" * 1_000) for number in range(10_000)]
    seen = await registration(Answers(entry("web1", "shop-1", *checks))).query()
    assert 0 < len(seen.maintenance) < 500
