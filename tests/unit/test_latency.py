"""Response times of the new version: how soon slowness is found, and what is none."""

import msgspec
import pytest

from orchestrator.canary.latency import LatencyJudge
from orchestrator.canary.settings import CanarySettings
from orchestrator.events.judgement import Evidence
from tests.support.latency_polls import FleetTimes, ServerTimes

SETTINGS = CanarySettings()


class Rollout:
    """A fleet in a rollout, and its judge."""

    def __init__(
        self, servers: dict[str, ServerTimes] | None = None, settings: CanarySettings = SETTINGS
    ) -> None:
        self.fleet = FleetTimes(servers) if servers else FleetTimes()
        self.judge = LatencyJudge(settings, self.fleet.lifetimes())

    def run(self, seconds: float, interval_s: float = 1.0) -> None:
        for _ in range(round(seconds / interval_s)):
            self.judge.add(self.fleet.poll(interval_s))

    def take_out(self, node: str) -> None:
        self.judge.leave(node)
        self.fleet.servers[node].group = ""

    def put_back(self, node: str, ms: float) -> None:
        self.fleet.servers[node].group = "new"
        self.fleet.servers[node].ms = ms

    def replace_at_once(self, node: str, ms: float, seconds: float = 20.0) -> None:
        """As a rollout does it, with polls in between."""
        self.take_out(node)
        self.run(seconds)
        self.put_back(node, ms)

    def seconds_until_held(self, at_most: float) -> float:
        for second in range(round(at_most)):
            if self.judge.slowness.state:
                return second
            self.run(1.0)
        return at_most

    @property
    def suspicion(self) -> str:
        return self.judge.suspicion(self.fleet.at)


def test_300_ms_more_are_found_within_120_s_and_the_factor_is_named() -> None:
    """The first node is taken out before anything but its average is known."""
    rollout = Rollout()
    rollout.replace_at_once("web1", 305)
    assert rollout.seconds_until_held(300) <= 100
    slowness = rollout.judge.slowness
    assert (slowness.state, slowness.node, slowness.certain) == ("hold", "web1", False)
    assert slowness.slower == pytest.approx(61, rel=0.1)
    assert slowness.reason.startswith("web1 is slower: 6")
    assert "(305 ms where 5 ms were expected)" in slowness.reason
    rollout.run(100)
    assert not rollout.judge.slowness.certain
    rollout.run(110)
    assert rollout.judge.slowness.certain


@pytest.mark.parametrize("polls", [1.0, 0.25])
def test_a_node_that_looks_slow_is_suspected_within_seconds(polls: float) -> None:
    rollout = Rollout()
    rollout.run(5)
    rollout.replace_at_once("web1", 305)
    rollout.run(3, polls)
    assert rollout.suspicion.startswith("web1 looks slower: ")
    assert not rollout.judge.slowness.state
    rollout.run(40)
    assert rollout.suspicion
    rollout.fleet.servers["web1"].ms = 5
    rollout.run(22)
    assert not rollout.suspicion


def test_one_window_that_is_not_slow_does_not_end_what_is_proven() -> None:
    rollout = Rollout()
    rollout.replace_at_once("web1", 305)
    rollout.run(125)
    rollout.fleet.servers["web1"].ms = 5
    rollout.run(12)
    assert rollout.judge.slowness.state == "hold"
    assert rollout.suspicion
    rollout.run(20)
    assert not rollout.judge.slowness.state
    assert not rollout.suspicion


def test_a_version_that_is_as_fast_is_neither_held_nor_suspected() -> None:
    rollout = Rollout()
    for node in ("web1", "web2", "web3"):
        rollout.replace_at_once(node, 5)
        for _ in range(60):
            rollout.run(1)
            assert not rollout.suspicion
            assert not rollout.judge.slowness.state
    assert rollout.judge.slowness.e_value < 1
    assert rollout.judge.slowness.slower == pytest.approx(1, abs=0.3)
    assert rollout.judge.slowness.response_ms == pytest.approx(5, abs=2)


def test_what_slows_down_all_is_not_the_version() -> None:
    rollout = Rollout()
    rollout.run(30)
    rollout.replace_at_once("web1", 5)
    rollout.run(60)
    for server in rollout.fleet.servers.values():
        server.ms = 400
    assert rollout.seconds_until_held(300) == 300


def test_a_node_that_was_always_slower_is_compared_with_itself() -> None:
    slow, fast = ServerTimes(90, average=90), [ServerTimes(30, average=30) for _ in range(3)]
    rollout = Rollout({f"web{number}": server for number, server in enumerate((slow, *fast), 1)})
    rollout.run(60)
    rollout.replace_at_once("web1", 90)
    assert rollout.seconds_until_held(200) == 200
    rollout.replace_at_once("web2", 90)
    assert rollout.seconds_until_held(200) <= 100
    assert rollout.judge.slowness.node == "web2"
    assert rollout.judge.slowness.slower == pytest.approx(3, rel=0.1)


def test_an_average_of_few_requests_is_not_what_a_server_is_expected_to_be_like() -> None:
    """Two requests in a hundred take 2 s, and HAProxy, just reloaded, has not counted any of web1's yet."""
    servers = {f"web{number}": ServerTimes(43, average=43, answered=120) for number in range(1, 5)}
    servers["web1"].average = 3
    rollout = Rollout(servers)
    rollout.replace_at_once("web1", 43)
    for _ in range(300):
        rollout.run(1)
        assert not rollout.suspicion
        assert not rollout.judge.slowness.state
    assert rollout.judge.slowness.slower == pytest.approx(1, rel=0.1)
    rollout.replace_at_once("web2", 343)
    assert rollout.seconds_until_held(200) <= 120
    assert rollout.judge.slowness.node == "web2"


def test_a_server_of_which_little_is_known_may_differ_from_its_peers() -> None:
    servers = {f"web{number}": ServerTimes(30, average=30, answered=120) for number in range(1, 5)}
    servers["web1"].ms = servers["web1"].average = 90  # a smaller machine
    rollout = Rollout(servers)
    rollout.replace_at_once("web1", 90)
    assert rollout.seconds_until_held(300) == 300


def test_others_that_leave_do_not_change_what_is_expected() -> None:
    """Nodes differ: with another median, those that remain would look faster or slower."""
    servers = {f"web{number}": ServerTimes(20.0 * number, average=20.0 * number) for number in range(1, 6)}
    rollout = Rollout(servers)
    rollout.run(60)
    for number in range(1, 5):
        rollout.replace_at_once(f"web{number}", 20.0 * number)
        rollout.run(60)
    assert rollout.judge.slowness.slower == pytest.approx(1, abs=0.1)
    assert rollout.judge.slowness.e_value < 1


def test_a_warm_up_is_learned_from_the_first_node() -> None:
    rollout = Rollout()
    rollout.run(20)
    rollout.replace_at_once("web1", 200)
    rollout.run(50)
    rollout.fleet.servers["web1"].ms = 5
    rollout.run(40)
    assert rollout.judge.warm_up_s == pytest.approx(1.25 * 50, abs=2)
    rollout.replace_at_once("web2", 200)
    for _ in range(60):
        rollout.run(1)
        assert not rollout.suspicion
    assert rollout.judge.slowness.e_value == 1
    assert rollout.seconds_until_held(200) < 100  # but it never ends


def test_a_warm_up_that_is_set_is_waited_for() -> None:
    rollout = Rollout(settings=CanarySettings(warm_up=120))
    rollout.replace_at_once("web1", 305)
    rollout.run(119)
    assert not rollout.suspicion
    assert rollout.judge.slowness.e_value == 1
    assert rollout.seconds_until_held(200) <= 80


@pytest.mark.parametrize(
    ("on_slow", "state"), [("hold", "hold"), ("ask", "hold"), ("fail", "bad"), ("note", "")]
)
def test_what_follows_when_it_is_still_slow_after_five_minutes(on_slow: str, state: str) -> None:
    rollout = Rollout(settings=msgspec.convert({"on_slow": on_slow}, CanarySettings))
    rollout.replace_at_once("web1", 305)
    rollout.run(150)
    assert rollout.judge.slowness.state == ("" if on_slow == "note" else "hold")
    rollout.run(180)
    assert rollout.judge.slowness.state == state
    assert rollout.judge.slowness.certain
    assert rollout.judge.slowness.slower == pytest.approx(61, rel=0.1)


def test_less_than_20_ms_more_are_no_matter() -> None:
    rollout = Rollout()
    rollout.run(60)
    rollout.replace_at_once("web1", 20)
    assert rollout.seconds_until_held(200) == 200


def test_few_requests_take_longer() -> None:
    rollout = Rollout({f"web{number}": ServerTimes(rps=5) for number in range(1, 5)})
    rollout.replace_at_once("web1", 305)
    assert 120 < rollout.seconds_until_held(300) <= 170


def test_a_slow_server_that_least_connections_spares_is_found_as_soon() -> None:
    rollout = Rollout()
    rollout.take_out("web1")
    rollout.run(20)
    rollout.put_back("web1", 305)
    rollout.fleet.servers["web1"].rps = 3.3  # one request at a time
    assert rollout.seconds_until_held(300) <= 100
    assert rollout.judge.slowness.slower == pytest.approx(61, rel=0.1)


def test_nothing_is_known_without_peers_or_without_times() -> None:
    rollout = Rollout({"web1": ServerTimes()})
    rollout.replace_at_once("web1", 305)
    assert rollout.seconds_until_held(200) == 200
    assert rollout.judge.slowness.slower is None
    assert rollout.suspicion == ""


def test_counters_that_begin_again_only_cost_a_window() -> None:
    rollout = Rollout()
    rollout.replace_at_once("web1", 305)
    rollout.run(65)
    for server in rollout.fleet.servers.values():
        server.average, server.answered = 0.0, 0.0
        server.average = server.ms
    assert rollout.seconds_until_held(300) <= 80
    assert rollout.judge.slowness.slower == pytest.approx(61, rel=0.2)


@pytest.mark.parametrize("interrupted_s", [45, 75])
def test_the_evidence_goes_on_in_another_process(interrupted_s: int) -> None:
    rollout = Rollout()
    rollout.run(60)
    rollout.replace_at_once("web1", 305)
    rollout.run(interrupted_s)
    saved = msgspec.json.decode(msgspec.json.encode(rollout.judge.evidence), type=Evidence)
    rollout.fleet.at -= 900  # its clock is another one
    rollout.judge = LatencyJudge(SETTINGS, rollout.fleet.lifetimes(), saved)
    before = rollout.judge.slowness.e_value
    assert rollout.seconds_until_held(200) <= 115 - interrupted_s
    assert rollout.judge.slowness.slower == pytest.approx(61, rel=0.1)
    assert before <= 1


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("latency:lb1/shop/web1", [1.0]),
        ("latency:lb1/shop/web1", [1e9, 0.0, 0.0, 0.0]),
        ("latency:lb1/shop/web1", [1.0, float("nan"), 0.0, 0.0]),
        ("latency:lb1/shop/web1", [1.0, 40.0, 0.0, 0.0, 5.0, 0.0, 400.0, 1.0]),
        ("latency:web1", [1.0, 40.0, 0.0, 0.0]),
        ("latency level:lb1/shop/web1", [1e9, 1]),
        ("latency level:lb1/shop/web1", [1.0, 0]),
        ("latency spread:lb1/shop", [float("nan"), 3]),
        ("latency spread:lb1/shop", []),
    ],
)
def test_evidence_that_cannot_be_understood(name: str, numbers: list[float]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  (which of many it is does not matter)
        LatencyJudge(SETTINGS, (), Evidence(logs={name: numbers}))


def test_a_node_that_was_worked_on_again_begins_anew() -> None:
    rollout = Rollout()
    rollout.replace_at_once("web1", 305)
    rollout.run(90)
    saved = rollout.judge.evidence
    rollout.judge = LatencyJudge(SETTINGS, rollout.fleet.lifetimes(), saved)
    rollout.replace_at_once("web1", 305)
    rollout.run(60)
    assert not rollout.judge.slowness.state
    assert rollout.suspicion


def test_slow_behind_one_of_two_load_balancers() -> None:
    """The evidence on a node is the average over its servers, which takes longer."""
    rollout, other = Rollout(), FleetTimes(balancer="lb2")
    rollout.replace_at_once("web1", 305)
    other.servers["web1"].group = "new"
    for _ in range(120):
        rollout.run(1)
        other.at = rollout.fleet.at - 1
        rollout.judge.add(other.poll())
    assert rollout.judge.slowness.state == "hold"
    assert rollout.judge.slowness.slower == pytest.approx(61, rel=0.1)
