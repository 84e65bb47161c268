"""Nodes and Consul itself come and go: the effect on plans, rollouts and unfinished nodes."""

import asyncio
import base64
import signal
from pathlib import Path

import pytest

from backends.errors import ConfigError
from console.config.config_file import load
from console.demo.stack import Stack
from console.sessions import open_session
from orchestrator.engine.control import CONTINUE, SKIP
from orchestrator.events.actor import Actor
from orchestrator.session.session import Session
from tests.support.consul_world import consul_world
from tests.support.held_steps import held
from tests.support.rollouts import NEW, OLD, rolldeck, started, tune, upgrade, versions, world
from tests.support.servers.consul import Agent, needs_consul
from tests.support.wait import until

pytestmark = needs_consul


async def deregister(agent: Agent, node: str) -> None:
    await agent.ask("PUT", f"/v1/agent/service/deregister/{node}")


async def register(agent: Agent, stack: Stack, node: str, like: str) -> None:
    await agent.register("shop", node, stack.nodes[like].port, Meta={"ssh": like})


def names(session: Session) -> list[str]:
    return [node.name for node in session.application.nodes]


async def shows(session: Session, *wanted: str) -> None:
    """Wait until these are the session's nodes."""

    async def seen() -> bool:
        return names(session) == list(wanted)

    await until(seen, timeout_s=30)


async def question(session: Session, subject: str) -> str:
    """Wait until somebody is asked about this; the question's id."""

    async def asked() -> bool:
        return [question.subject for question in session.control.questions] == [subject]

    await until(asked, timeout_s=60)
    return session.control.questions[0].id


async def test_what_comes_and_goes_is_in_the_session_at_once_and_in_the_next_plan(tmp_path: Path) -> None:
    async with consul_world(tmp_path / "s", nodes=3) as (stack, agent):
        await deregister(agent, "web3")
        config = load(stack.config_path)
        async with open_session(config, "shop") as session:
            assert names(session) == ["web1", "web2"]
            await register(agent, stack, "web3", "web3")
            await shows(session, "web1", "web2", "web3")
            assert [node.name for node in (await session.plan(NEW)).nodes] == ["web1", "web2", "web3"]
            await deregister(agent, "web1")
            await shows(session, "web2", "web3")
            line = session.consul_status
            assert line is not None
            assert line.note.startswith("web1 went, ")
            # An inventory that is empty is no fleet of no nodes.
            await deregister(agent, "web2")
            await deregister(agent, "web3")

            async def lost() -> bool:
                return "it may have lost its data" in "".join(
                    finding.text for finding in (await session.plan(NEW)).findings
                )

            await until(lost, timeout_s=30)
            assert names(session)
            agent.freeze()

            async def silent() -> bool:
                return (status := session.consul_status) is not None and status.state == "stale"

            await until(silent, timeout_s=30)
            findings = "".join(finding.text for finding in (await session.plan(NEW)).findings)
            assert "Consul does not answer, the previous nodes are kept" in findings


async def test_two_of_one_name_are_said_and_the_nodes_stay(tmp_path: Path) -> None:
    async with consul_world(tmp_path / "s", nodes=2) as (stack, agent):
        tune(stack, "apps.shop.inventory", name="meta:ssh")
        config = load(stack.config_path)
        async with open_session(config, "shop") as session:
            await register(agent, stack, "web9", "web1")

            async def said() -> bool:
                return "are both 'web1' by 'meta:ssh'" in "".join(
                    finding.text for finding in (await session.plan(NEW)).findings
                )

            await until(said, timeout_s=30)
            assert names(session) == ["web1", "web2"]
        with pytest.raises(ConfigError, match="are both 'web1' by 'meta:ssh'"):
            async with open_session(config, "shop"):
                pass


async def test_a_rollout_asks_about_what_has_come_and_gone(tmp_path: Path) -> None:
    async with consul_world(tmp_path / "s", nodes=3) as (stack, agent), held(stack, "stop") as let_go:
        async with open_session(load(stack.config_path), "shop") as session:
            session.control.interactive = True
            rollout = asyncio.create_task(session.run(await session.propose(NEW)))

            async def stopping() -> bool:
                return session.activity.active_nodes() == {"web1"}

            await until(stopping, timeout_s=30)
            await deregister(agent, "web1")  # as many do when they are stopped: that is no difference
            await deregister(agent, "web3")
            await register(agent, stack, "web9", "web3")
            let_go()
            asked = await question(session, "inventory")
            assert (
                session.control.questions[0].text
                == "Consul has web9 now, which is not in the plan: continue with the plan as it is?"
            )
            assert names(session) == ["web1", "web2", "web3"]
            session.control.answer(asked, CONTINUE, Actor("me"))
            asked = await question(session, "web3")
            assert "Consul does not have web3 any more: upgrade it anyway?" in (
                session.control.questions[0].text
            )
            session.control.answer(asked, SKIP, Actor("me"))
            ended = await rollout
            assert (ended.upgraded, ended.skipped, ended.out_of_rotation) == (["web1", "web2"], ["web3"], [])
        assert await versions(stack) == {"web1": NEW, "web2": NEW, "web3": OLD}


async def test_without_anybody_to_ask_it_stops(tmp_path: Path) -> None:
    async with consul_world(tmp_path / "s", nodes=2) as (stack, agent), held(stack, "stop") as let_go:
        async with started(stack, "upgrade", "shop", NEW, "--yes", "--json") as running:
            await running.event("step_started", node="web1", step="stop")
            await register(agent, stack, "web9", "web2")
            await running.event("node_note", text="Consul: web9 came")
            let_go()
            run = await running.end()
        assert run.code == 1, run.text
        why = "Consul has web9 now, which is not in the plan, and no operator is there to decide"
        assert run.ended["reason"] == why
        assert (run.ended["upgraded"], run.ended["pending"]) == (["web1"], ["web2"])
        await deregister(agent, "web9")
        assert (await rolldeck(stack, "resume", "shop", "--yes")).code == 0
        assert await versions(stack) == dict.fromkeys(stack.nodes, NEW)


async def test_one_that_deregisters_when_it_is_stopped_is_resumed_all_the_same(tmp_path: Path) -> None:
    async with consul_world(tmp_path / "s", nodes=2) as (stack, agent):
        async with started(stack, "upgrade", "shop", NEW, "--yes", "--json") as running:
            await running.event("step_started", node="web1", step="start")
            running.signal(signal.SIGKILL)
            await running.end()
        await deregister(agent, "web1")
        status = await rolldeck(stack, "status")
        assert "web1 was left by rollout 1" in status.text
        resumed = await rolldeck(stack, "resume", "shop", "--yes")
        assert resumed.code == 0, resumed.text
        assert await versions(stack) == dict.fromkeys(stack.nodes, NEW)


async def test_with_a_local_lock_it_only_tells_what_came_and_goes_on_without_an_answer(
    tmp_path: Path,
) -> None:
    async with consul_world(tmp_path / "s", nodes=2) as (stack, agent), held(stack, "stop") as let_go:
        tune(stack, "lock", kind="local")
        tune(stack, "apps.shop.inventory", on_change="notify")
        async with started(stack, "upgrade", "shop", NEW, "--yes", "--json") as running:
            await running.event("step_started", node="web1", step="stop")
            await register(agent, stack, "web9", "web2")
            await running.event("node_note", text="Consul: web9 came")
            agent.freeze()
            let_go()
            run = await running.end()
        assert run.code == 0, run.text
        assert not [event for event in run.events if event["event"] == "paused"]
        assert await versions(stack) == dict.fromkeys(stack.nodes, NEW)


async def pauses_while_frozen(stack: Stack, agent: Agent) -> None:
    """Upgrade; Consul does not answer for a while meanwhile."""
    async with (
        held(stack, "stop") as let_go,
        started(stack, "upgrade", "shop", NEW, "--yes", "--json") as running,
    ):
        await running.event("step_started", node="web1", step="stop")
        agent.freeze()
        paused = await running.event("paused")
        assert paused["who"] == "Rolldeck"
        assert "Consul does not answer: the leader: no answer from" in paused["why"]
        let_go()
        await running.event("step_done", node="web1", step="stop")
        agent.thaw()
        await running.event("resumed", who="Rolldeck, as Consul answers again")
        run = await running.end()
    assert run.code == 0, run.text
    assert await versions(stack) == dict.fromkeys(stack.nodes, NEW)


async def test_it_pauses_while_consul_does_not_answer_if_so_configured(tmp_path: Path) -> None:
    """With its lock there; with that of this machine alone in the next test."""
    async with consul_world(tmp_path / "s", nodes=2) as (stack, agent):
        tune(stack, "lock", ttl=60)
        tune(stack, "consul", on_unavailable="pause")
        await pauses_while_frozen(stack, agent)


async def test_versions_are_written_and_what_consul_does_not_take_is_told(tmp_path: Path) -> None:
    async with consul_world(tmp_path / "s", nodes=2) as (stack, agent):
        tune(stack, "lock", kind="local")
        tune(stack, "consul", version_key="versions/{app}/{node}", on_unavailable="pause")
        await pauses_while_frozen(stack, agent)
        assert await raw(agent) == {"web1": NEW, "web2": NEW}
        tune(stack, "consul", on_unavailable="continue")
        async with (
            held(stack, "stop") as let_go,
            started(stack, "rollback", "shop", "--yes", "--json") as running,
        ):
            await running.event("step_started", node="web2", step="stop")  # the last is put back first
            agent.freeze()
            let_go()
            await running.event("node_note", "its version is not written to Consul yet", node="web2")
            agent.thaw()
            assert (await running.end()).code == 0
        assert await raw(agent) == {"web1": OLD, "web2": OLD}


async def raw(agent: Agent) -> dict[str, str]:
    """What stands in the keys, decoded by Consul itself."""
    pairs = await agent.ask("GET", "/v1/kv/versions/shop?recurse=true")
    return {pair["Key"].rpartition("/")[2]: base64.b64decode(pair["Value"]).decode() for pair in pairs}


async def test_without_the_shared_lock_that_of_this_machine_will_do_only_if_so_configured(
    tmp_path: Path,
) -> None:
    async with world(tmp_path / "s", nodes=2) as stack:
        consul = '[consul]\naddress = "http://127.0.0.1:1"\n\n[lock]\nkind = "consul"\n'
        stack.config_path.write_text(f"{consul}\n{stack.config_path.read_text()}")
        tune(stack, "lock", fallback="refuse")
        refused = await upgrade(stack)
        assert refused.code == 3, refused.text
        assert "cannot check whether another machine has the lock" in refused.text
        assert await versions(stack) == dict.fromkeys(stack.nodes, OLD)
        tune(stack, "lock", fallback="local")
        run = await upgrade(stack)
        assert run.code == 0, run.text
        assert await versions(stack) == dict.fromkeys(stack.nodes, NEW)


async def test_a_plan_is_carried_out_with_the_nodes_it_was_made_of(tmp_path: Path) -> None:
    """While somebody reads it one moves to the place of another, and a new one comes: all is taken over."""
    async with consul_world(tmp_path / "s", nodes=3) as (stack, agent):
        async with open_session(load(stack.config_path), "shop") as session:
            proposal = await session.propose(NEW)
            await register(agent, stack, "web2", "web3")
            await register(agent, stack, "web9", "web3")
            await shows(session, "web1", "web2", "web3", "web9")
            session.control.interactive = True
            rollout = asyncio.create_task(session.run(proposal))
            asked = await question(session, "inventory")
            session.control.answer(asked, CONTINUE, Actor("me"))
            asked = await question(session, "web2")
            place = f"127.0.0.1:{stack.nodes['web3'].port}"
            assert session.control.questions[0].text == (
                f"web2 is at {place} in Consul now: upgrade it anyway?"
            )
            session.control.answer(asked, CONTINUE, Actor("me"))  # where it was when the plan was made
            ended = await rollout
            assert (ended.result, ended.upgraded) == ("healthy", ["web1", "web2", "web3"])
        assert await versions(stack) == dict.fromkeys(stack.nodes, NEW)


async def test_what_no_name_can_be_is_said_and_what_comes_after_it_is_seen(tmp_path: Path) -> None:
    async with consul_world(tmp_path / "s", nodes=2) as (stack, agent):
        async with open_session(load(stack.config_path), "shop") as session:
            await agent.register("shop", "web8", 80, Meta={"ssh": "-rf"})
            await until(lambda: _refused(session), timeout_s=30)
            await deregister(agent, "web8")
            await agent.register("shop", "web7", 80, Meta={"ssh": "web1"}, Address="web7..example")
            await shows(session, "web1", "web2", "web7")


async def _refused(session: Session) -> bool:
    """Whether a plan cannot be made of what Consul has now."""
    try:
        await session.plan(NEW)
    except ConfigError as error:
        return "'-rf'" in str(error)
    return False


async def test_a_token_that_cannot_be_read_is_said_before_a_node_is_touched(tmp_path: Path) -> None:
    async with world(tmp_path / "s", nodes=2) as stack:
        consul = '[consul]\ntoken_file = "/no/such/token"\nversion_key = "versions/{node}"\n'
        stack.config_path.write_text(f"{consul}\n{stack.config_path.read_text()}")
        run = await upgrade(stack)
        assert run.code == 2, run.text
        assert "/no/such/token" in run.text
        assert await versions(stack) == dict.fromkeys(stack.nodes, OLD)
