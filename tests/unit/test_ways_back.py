"""The commands that put a node back are told apart by what they are, not by how they begin."""

from msgspec import structs

from orchestrator.events.ways_back import BackCommand, OutOfRotation, find_ways_back, make_ready_command

OUT = OutOfRotation(node="web1", servers=["shop/web1 on lb1: maint"], intentional=False, commands=[])
READY = make_ready_command("shop", "web1")
UPGRADE = BackCommand("upgrade", "rolldeck upgrade shop 1.5.0 --limit web1")
PROVE = BackCommand("prove", "lb1: set server shop/web1 health down")
LINE = BackCommand("by_hand", "lb1: set server shop/web1 state ready")


def test_a_load_balancer_may_be_called_as_it_likes() -> None:
    odd = [BackCommand("by_hand", f"rolldeck ready {LINE.text}"), BackCommand("by_hand", "health down: x")]
    ways = find_ways_back(structs.replace(OUT, commands=[READY, *odd]))
    assert (ways.own, ways.manual) == ([READY.text], [command.text for command in odd])
    assert not ways.awaits_health


def test_what_starts_its_service_is_said_where_it_does_not_run() -> None:
    stopped = structs.replace(OUT, commands=[READY, UPGRADE, PROVE, LINE], stopped=True)
    ways = find_ways_back(stopped)
    assert (ways.own, ways.manual, ways.awaits_health) == ([UPGRADE.text], [PROVE.text, LINE.text], True)
