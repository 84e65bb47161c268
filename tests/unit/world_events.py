"""Moments of a rollout in the fake world: waited for, or acted at."""

from collections.abc import Callable

from orchestrator.events.events import Record, StepDone, StepStarted, Waiting
from tests.support.fake_fleet import World


def act_once(world: World, found: Callable[[Record], bool], action: Callable[[], object]) -> None:
    """Do something at the first of these records."""
    done: list[bool] = []

    def read(record: Record) -> None:
        if not done and found(record):
            done.append(True)
            action()

    world.bus.subscribe(read)


def act_at_step(
    world: World, kind: type[StepStarted] | type[StepDone], step: str, action: Callable[[], object]
) -> None:
    """Do something when a step of web1 begins, or when it is done."""

    def found(record: Record) -> bool:
        event = record.event
        return isinstance(event, kind) and (event.node, event.step) == ("web1", step)

    act_once(world, found, action)


async def until_baking(world: World) -> None:
    """Wait until a node bakes for the first time."""
    await world.until(lambda: any(event.reason == "baking" for event in world.events(Waiting)))


def once_baking(world: World, node: str, action: Callable[[], object]) -> None:
    """Do something when this node begins to bake."""

    def found(record: Record) -> bool:
        event = record.event
        return isinstance(event, Waiting) and event.baking and event.node == node

    act_once(world, found, action)


def once_installing(world: World, node: str, action: Callable[[], object]) -> None:
    """Do something when the installation on this node begins."""

    def found(record: Record) -> bool:
        event = record.event
        return isinstance(event, StepStarted) and (event.node, event.step) == (node, "install")

    act_once(world, found, action)
