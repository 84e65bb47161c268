"""A step from outside: a row of the table is enough for a rollout, the dry run, the journal and the board."""

import contextlib
from collections.abc import Iterator

import msgspec
import pytest

from orchestrator.engine.step_context import Command, DryRunContext, StepContext
from orchestrator.events.events import AnyEvent, StepDone, StepStarted
from orchestrator.events.state import RolloutState
from orchestrator.events.steps import STEPS, Implementation, StepSpec, implementation
from tests.support.fake_fleet import World, steps
from widgets.rollout_rows import build_headings, build_row


async def migrate(context: StepContext) -> str | None:
    context.note("migrates")
    await context.clock.sleep(2)
    return f"schema of {context.wanted}"


def migrate_commands(context: DryRunContext) -> list[Command]:
    return [(context.node.host.name, f"migrate --to {context.version}")]


@contextlib.contextmanager
def added_step() -> Iterator[None]:
    STEPS.add(
        StepSpec("migrate", "migrating", "migrates", run=migrate, commands=migrate_commands), before="start"
    )
    try:
        yield
    finally:
        STEPS.remove("migrate")


def text(pieces: list[tuple[str, str]]) -> str:
    return "".join(piece for piece, _ in pieces)


@pytest.mark.virtual_time
async def test_a_rollout_runs_a_step_from_outside_between_install_and_start() -> None:
    world = World(nodes=1, min_available=0)
    with added_step():
        plan = await world.plan()
        ended = await world.carry_out(plan)
        assert ended.result == "healthy"
        assert steps(world, "web1") == ["drain", "stop", "install", "migrate", "start", "verify"]
        assert [command.command for command in plan.node("web1").commands if command.step == "migrate"] == [
            "migrate --to 2.0"
        ]
        [done] = [event for event in world.events(StepDone) if event.step == "migrate"]
        assert done.detail == "schema of 2.0"

        begun = next(
            index
            for index, record in enumerate(world.records)
            if isinstance(record.event, StepStarted) and record.event.step == "migrate"
        )
        state = RolloutState.of(world.records[: begun + 1])
        node, now = state.nodes["web1"], world.records[begun].at + 1
        assert (node.state, node.at_work) == ("migrating", True)
        assert text(build_headings(5, 1, "")).split() == ["NODE", *STEPS]
        assert text(build_row(node, state, now, 5, 1)).endswith("◐ migrating")

        state = RolloutState.of(world.records)
        assert text(build_row(state.nodes["web1"], state, now, 5, 1)).count("✓") == len(STEPS) + 1


def test_events_of_a_step_are_understood_as_long_as_the_table_has_it() -> None:
    event = StepStarted(node="web1", step="drain")
    line = msgspec.json.encode(event).replace(b'"drain"', b'"migrate"')
    with added_step():
        assert msgspec.json.decode(line, type=AnyEvent) == StepStarted(node="web1", step="migrate")
    with pytest.raises(
        msgspec.ValidationError, match="found the step 'migrate', expected one of drain, stop"
    ):
        msgspec.json.decode(line, type=AnyEvent)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("field", ["run", "commands"])
def test_every_row_names_functions_that_are_there(step: str, field: str) -> None:
    found: Implementation = getattr(STEPS.spec(step), field)
    assert callable(implementation(found))


def test_a_row_is_added_once_and_in_its_place() -> None:
    with added_step():
        assert list(STEPS) == ["drain", "stop", "install", "migrate", "start", "verify"]
        assert STEPS.after("install") == ("migrate", "start", "verify")
        with pytest.raises(ValueError, match="there is a step 'migrate' already"), added_step():
            pass
    assert list(STEPS) == ["drain", "stop", "install", "start", "verify"]
