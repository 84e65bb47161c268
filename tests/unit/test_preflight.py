"""Preflight: everything that can be known before anything is touched, and nothing is touched."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from backends.errors import BackendError, HostKeyError, Refused, Unreachable, UnreadableReply
from backends.model import HASH_ALGORITHMS, Level, Persistence, Snapshot
from orchestrator.events.steps import STEPS
from orchestrator.node import OriginalState
from orchestrator.planning.findings import Finding, Severity, fold_findings
from orchestrator.planning.plan import Unfinished
from orchestrator.preflight.preflight import preflight
from tests.support.fake_balancer import FakeFacts
from tests.support.fake_faults import Fault
from tests.support.fake_fleet import World


def texts(findings: tuple[Finding, ...], severity: Severity) -> list[str]:
    return [f"{finding.subject}: {finding.text}" for finding in findings if finding.severity is severity]


@pytest.mark.virtual_time
async def test_a_fleet_in_order_has_a_plan_without_findings() -> None:
    world = World(nodes=4, serial=[1, "50%"])
    plan = await world.plan()
    assert plan.findings == ()
    assert plan.batches == (("web1",), ("web2", "web3"), ("web4",))
    assert [str(capacity) for capacity in plan.capacities[1]] == [
        "shop on lb1: in rotation 4 → 2, floor 1",
        "shop on lb2: in rotation 4 → 2, floor 1",
    ]
    assert (plan.node("web1").displayed_version, plan.node("web1").reason) == ("1.0", "1.0 → 2.0")
    assert not world.touched()


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    ("look", "error", "text"),
    [
        ("connect", HostKeyError("web2", "key has changed"), "cannot be reached: key has changed"),
        ("state", Refused("web2", "no service"), "service state cannot be read: no service"),
        ("port", UnreadableReply("web2", "timed out"), "port 80 cannot be checked: timed out"),
        ("installed", UnreadableReply("web2", "?"), "installed version cannot be read: ?"),
        ("health", Unreachable("web2", "refused"), "health cannot be checked: refused"),
    ],
)
async def test_what_cannot_be_measured_is_an_error(look: str, error: BackendError, text: str) -> None:
    world = World()
    world.nodes["web2"].faults.always[look] = Fault(error)
    plan = await world.plan()
    assert texts(plan.errors, Severity.ERROR) == [f"web2: {text}"]
    assert not world.touched()


@pytest.mark.virtual_time
async def test_what_hits_all_nodes_is_one_line_for_people_and_one_finding_for_each_node() -> None:
    world = World(nodes=6)
    for number, (name, node) in enumerate(world.nodes.items(), 1):
        error = Unreachable(name, "connection refused", place=f"10.0.0.{number} port 22")
        node.faults.always["connect" if number < 6 else "port"] = Fault(error)
        world.server(name, "lb2").has_checks = False
        del world.balancers["lb1"].servers[f"shop/{name}"]
    world.balancers["lb1"].add("shop", "db", world.nodes["web1"])
    plan = await world.plan()
    assert len(plan.errors) == 12
    assert [f"{finding.subject}: {finding.text}" for finding in fold_findings(plan.findings)] == [
        "web[1-6]: is not registered on lb1: looked for web[1-6], found db",
        "web[1-5]: cannot be reached: 10.0.0.[1-5] port 22: connection refused",
        "web6: port 80 cannot be checked: 10.0.0.6 port 22: connection refused",
        "shop/web[1-6] on lb2: has no health checks: only its own health decides when it may return",
    ]


@pytest.mark.virtual_time
async def test_an_instance_that_cannot_be_read_is_an_error() -> None:
    world = World()
    world.balancers["lb2"].down = True
    plan = await world.plan()
    assert texts(plan.errors, Severity.ERROR) == ["lb2: cannot be read: connection refused"]


@pytest.mark.virtual_time
async def test_a_level_that_is_too_low_and_an_old_worker_are_errors() -> None:
    world = World()
    world.balancers["lb1"].level = Level.OPERATOR
    world.balancers["lb2"].stopping = True
    assert texts((await world.plan()).errors, Severity.ERROR) == [
        "lb1: the socket has level operator; changing states needs admin"
        " (`level admin` at its `stats socket` in haproxy.cfg)",
        "lb2: is stopping: an old worker answers",
    ]


@pytest.mark.virtual_time
async def test_a_statistics_page_is_no_socket_of_a_low_level() -> None:
    world = World()
    lb1 = world.balancers["lb1"]
    real = lb1.snapshot

    async def page(backends: Sequence[str] = ()) -> Snapshot:
        return replace(await real(backends), level=Level.USER, read_only="a statistics page")

    lb1.snapshot = page  # type: ignore[method-assign]
    [text] = texts((await world.plan()).errors, Severity.ERROR)
    assert text.startswith(
        "lb1: is a statistics page, which can only be read: states are changed by HAProxy's"
    )
    assert "level user" not in text


@pytest.mark.virtual_time
@pytest.mark.parametrize(("serial", "allowed"), [(1, True), (2, False), ("100%", False)])
async def test_a_batch_that_would_break_the_floor_is_an_error(serial: int | str, allowed: bool) -> None:
    world = World(nodes=3, serial=serial, max_unavailable=1)
    assert (not (await world.plan()).errors) is allowed


@pytest.mark.virtual_time
async def test_what_is_special_is_said() -> None:
    world = World(nodes=4)
    lb1 = world.balancers["lb1"]
    lb1.cookie, lb1.algorithm = "SRV", "source"
    world.balancers["lb2"].algorithm = "leastconn"
    lb1.config = FakeFacts(False, frozenset({"shop"}), "")
    world.take_out("web1")
    world.server("web2").has_checks = False
    world.server("web3").agent = world.server("web3").agent_configured = True
    world.server("web4").weight = 0
    plan = await world.plan()
    said = "\n".join(texts(plan.findings, Severity.WARNING) + texts(plan.findings, Severity.INFO))
    for expected in (
        'shop on lb1: cookie persistence ("SRV"): its clients reach a draining node until',
        "shop on lb1: static algorithm (source)",
        "shop on lb2: leastconn sends most requests to a server that fails them fast",
        "lb1: no state file",
        "shop on lb1: on-marked-down shutdown-sessions",
        "shop/web1 on lb1: is in maint now, and is left out",
        "shop/web2 on lb1: has no health checks",
        "shop/web3 on lb1: has an agent check",
        "shop/web4 on lb1: has weight 0 now, and keeps it",
    ):
        assert expected in said
    assert plan.errors == ()


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    ("cookie", "config", "expected"),
    [
        ("", FakeFacts(), None),
        (
            "SRV",
            FakeFacts(persistence={"shop": Persistence(('cookie "SRV"',))}),
            'cookie persistence ("SRV"): its clients reach a draining node until drain_timeout (300 s),'
            " then maintenance moves them",
        ),
        (
            "SRV",
            FakeFacts(persistence={"shop": Persistence(('cookie "SRV"',), "option persist")}),
            'cookie persistence ("SRV") with `option persist`: its clients reach a node in maintenance too,'
            " so their requests fail while it is stopped, and come to the new version before it is proven;"
            " take `option persist` out of HAProxy's configuration first",
        ),
        (
            "",
            FakeFacts(persistence={"shop": Persistence(("stick table",), "force-persist")}),
            "persistence by stick table with `force-persist`: its clients that it matches reach a node in"
            " maintenance too",
        ),
        (
            "",
            FakeFacts(persistence={"shop": Persistence(("stick table",))}),
            "persistence by stick table: its clients reach a draining node until drain_timeout (300 s)",
        ),
        (
            "SRV",
            FakeFacts(persistence=None, unseen="no file"),
            "then maintenance moves them, unless `option persist` or `force-persist` is set, which is"
            " unknown: no file",
        ),
        ("", FakeFacts(persistence=None, unseen="no file"), None),
        ("", FakeFacts(persistence={"other": Persistence(("stick table",), "option persist")}), None),
    ],
)
async def test_what_persistence_does_follows_from_the_configuration(
    cookie: str, config: FakeFacts, expected: str | None
) -> None:
    world = World(instances=1)
    world.balancers["lb1"].cookie, world.balancers["lb1"].config = cookie, config
    said = [text for text in texts((await world.plan()).findings, Severity.WARNING) if "clients" in text]
    if expected is None:
        assert said == []
    else:
        [warning] = said
        assert warning.startswith("shop on lb1: ")
        assert expected in warning


@pytest.mark.virtual_time
async def test_what_haproxy_adds_to_a_clients_port_is_no_port_of_a_node() -> None:
    world = World(instances=1)
    world.balancers["lb1"].config = FakeFacts(relative_ports=frozenset({("shop", "web2"), ("api", "web1")}))
    [error] = (await world.plan()).errors
    assert error.subject == "shop/web2 on lb1"
    assert error.text.startswith("HAProxy adds 80 to the port of each client")


@pytest.mark.virtual_time
async def test_a_node_that_is_put_in_rotation_is_not_said_to_be_left_out() -> None:
    world = World()
    world.take_out("web1")
    plan = await world.plan(force_ready={"web1"})
    assert "shop/web1 on lb1: is in maint now, and is put in rotation at the end" in texts(
        plan.findings, Severity.INFO
    )


@pytest.mark.virtual_time
async def test_a_node_that_is_ill_now_is_a_warning_only() -> None:
    world = World()
    world.nodes["web2"].healthy = False
    plan = await world.plan()
    assert plan.errors == ()
    assert "web2: is not healthy now: 503" in texts(plan.findings, Severity.WARNING)


@pytest.mark.virtual_time
async def test_limit_takes_names_and_patterns_and_refuses_what_matches_nothing() -> None:
    world = World(nodes=4)
    assert (await world.plan(limit=["web[13]", "web4"])).batches == (("web1",), ("web3",), ("web4",))
    plan = await world.plan(limit=["db*"], force_ready={"web1"})
    assert texts(plan.errors, Severity.ERROR) == [
        "inventory: --limit db* matches no node; there is: web1, web2, web3, web4",
        "inventory: --force-ready web1 is not among the chosen nodes",
    ]


@pytest.mark.virtual_time
async def test_an_empty_inventory_is_an_error_not_a_fleet_of_nobody() -> None:
    world = World()
    world.application = replace(world.application, nodes=())
    assert texts((await world.plan()).errors, Severity.ERROR) == ["inventory: has no nodes"]


@pytest.mark.virtual_time
async def test_every_command_is_planned_as_it_is_then_sent() -> None:
    world = World(nodes=1, min_available=0)
    world.server("web1").agent = world.server("web1").agent_configured = True
    plan = await world.plan()
    planned = {
        name: [command.command for command in plan.node("web1").commands if command.target == name]
        for name in world.balancers
    }
    await world.carry_out(plan)
    for name, balancer in world.balancers.items():
        assert [line for _, line in balancer.sent] == planned[name]
    steps = [command.step for command in plan.node("web1").commands if command.target == "web1"]
    assert steps == ["stop", "install", "start"]


def left_at_verify(world: World, name: str, version: str = "2.0") -> Unfinished:
    originals = {server.ref: OriginalState.of(server.seen()) for server in world.servers(name)}
    return Unfinished(7, originals, "left by rollout 7 (ann): interrupted at verify", target_version=version)


@pytest.mark.virtual_time
@pytest.mark.parametrize("version", ["2.0", "3.0"])
async def test_a_node_that_serves_unproven_is_proven_first_unless_it_gets_another_version(
    version: str,
) -> None:
    world = World(order="reverse")
    world.nodes["web1"].installed = world.nodes["web1"].running = "2.0"
    left = {"web1": left_at_verify(world, "web1")}
    plan = await preflight(world.application, version, unfinished=left)
    node = plan.node("web1")
    if version == "2.0":
        assert (node.steps, node.unproven) == (("drain", "verify"), True)
        assert plan.batches == (("web1",), ("web3",), ("web2",))
        assert [command.step for command in node.commands if command.step == "stop"] == []
    else:
        assert (node.steps, node.unproven) == (tuple(STEPS), False)
        assert plan.batches == (("web3",), ("web2",), ("web1",))


@pytest.mark.virtual_time
async def test_an_unproven_node_that_the_floor_needs_is_verified_where_it_is() -> None:
    world = World(nodes=2)
    world.nodes["web1"].installed = world.nodes["web1"].running = "2.0"
    world.take_out("web2")
    left = {"web1": left_at_verify(world, "web1")}
    plan = await preflight(world.application, "2.0", limit=["web1"], unfinished=left)
    assert plan.node("web1").steps == ("verify",)
    assert not plan.errors


@pytest.mark.virtual_time
@pytest.mark.parametrize("algorithm", HASH_ALGORITHMS)
async def test_a_consistent_hash_is_no_static_algorithm(algorithm: str) -> None:
    world = World()
    for balancer in world.balancers.values():
        balancer.algorithm = algorithm
    world.balancers["lb1"].config = FakeFacts(consistent_hashes=frozenset({"shop"}))
    found = texts((await world.plan()).findings, Severity.WARNING)
    assert [text.partition(":")[0] for text in found if "static algorithm" in text] == ["shop on lb2"]
