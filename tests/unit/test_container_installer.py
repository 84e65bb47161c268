"""What the container installer does after every kind of interruption, on a scripted engine."""

from dataclasses import dataclass, field

import pytest

from backends.command import Command
from backends.errors import ConfigError, Refused, UnknownOutcome, UnreadableReply
from backends.installers.container import ContainerInstall
from backends.kinds import default_version, make_installer
from tests.support.scripted_host import Answer, ScriptedHost

SETTINGS = ContainerInstall(
    name="shop", image="r/shop", create="podman create --name {name} {image}:{version}"
)


@dataclass(slots=True)
class Engine:
    """Containers by name, with their images; `failing` are words of commands that fail."""

    containers: dict[str, str]
    failing: set[str] = field(default_factory=set)
    lost: set[str] = field(default_factory=set)
    creates: bool = True
    changes: list[str] = field(default_factory=list)

    def __call__(self, command: Command) -> Answer:
        words = command.argv[2].split() if command.argv[0] == "sh" else list(command.argv)
        action, *rest = words[1:]
        if action in self.lost:
            raise UnknownOutcome("web1", "connection lost", pid=7)
        if action == "inspect":
            return self._inspect(rest[-1], rest[-2])
        self.changes.append(" ".join([action, *rest]))
        if action in self.failing:
            return Answer(stderr=f"Error: {action} failed", exit_status=125)
        return self._change(action, rest)

    def _inspect(self, name: str, show: str) -> Answer:
        if "inspect" in self.failing:
            return Answer(stderr="Cannot connect to the Docker daemon", exit_status=1)
        if name not in self.containers:
            return Answer(stderr=f"Error: no such container {name}", exit_status=125)
        return Answer(self.containers[name] if "Image" in show else "4f5e")

    def _change(self, action: str, rest: list[str]) -> Answer:
        if action == "rename":
            if rest[1] in self.containers:
                return Answer(stderr="name in use", exit_status=125)
            self.containers[rest[1]] = self.containers.pop(rest[0])
        elif action == "rm":
            del self.containers[rest[-1]]
        elif action == "create" and self.creates:
            self.containers[rest[1]] = rest[2]
        return Answer()


async def install(engine: Engine) -> None:
    version = default_version(SETTINGS)
    assert version is not None
    host = ScriptedHost(engine)
    installer = make_installer(SETTINGS, version, host=host, console=host, values={})
    await installer.install("1.5.0")
    assert await installer.installed() == "1.5.0"


@pytest.mark.parametrize(
    ("before", "changes"),
    [
        (
            {"shop": "r/shop:1.4.2"},
            ["rename shop shop-previous", "create --name shop r/shop:1.5.0", "rm shop-previous"],
        ),
        ({}, ["create --name shop r/shop:1.5.0"]),
        (
            {"shop-previous": "r/shop:1.4.2"},
            ["create --name shop r/shop:1.5.0", "rm shop-previous"],
        ),
        (
            {"shop": "r/shop:1.4.2", "shop-previous": "r/shop:1.4.1"},
            [
                "rm shop-previous",
                "rename shop shop-previous",
                "create --name shop r/shop:1.5.0",
                "rm shop-previous",
            ],
        ),
    ],
    ids=["running system", "new node", "interrupted before create", "interrupted before rm"],
)
async def test_it_can_be_run_at_any_moment(before: dict[str, str], changes: list[str]) -> None:
    engine = Engine(dict(before))
    await install(engine)
    assert engine.containers == {"shop": "r/shop:1.5.0"}
    assert engine.changes == changes


async def test_a_failure_gives_the_old_container_its_name_back() -> None:
    engine = Engine({"shop": "r/shop:1.4.2"}, failing={"create"})
    with pytest.raises(Refused, match=r"install 1\.5\.0: exit status 125: Error: create failed"):
        await install(engine)
    assert engine.containers == {"shop": "r/shop:1.4.2"}


async def test_a_create_that_creates_something_else_is_a_failure() -> None:
    engine = Engine({"shop": "r/shop:1.4.2"}, creates=False)
    with pytest.raises(Refused, match="made no container called shop"):
        await install(engine)
    assert engine.containers == {"shop": "r/shop:1.4.2"}


async def test_a_container_that_was_made_but_failed_is_removed() -> None:
    engine = Engine({"shop": "r/shop:1.4.2"})

    def run_fails_after_creating(command: Command) -> Answer:
        answer = engine(command)
        failed = command.argv[0] == "sh"
        return Answer(stderr="port is taken", exit_status=126) if failed else answer

    host = ScriptedHost(run_fails_after_creating)
    version = default_version(SETTINGS)
    assert version is not None
    with pytest.raises(Refused, match="port is taken"):
        await make_installer(SETTINGS, version, host=host, console=host, values={}).install("1.5.0")
    assert engine.containers == {"shop": "r/shop:1.4.2"}
    assert engine.changes[-2:] == ["rm -f shop", "rename shop-previous shop"]


async def test_both_failures_are_told_when_the_way_back_fails_too() -> None:
    engine = Engine({"shop-previous": "r/shop:1.4.2"}, failing={"create", "rename"})
    with pytest.raises(Refused, match=r"create failed; and shop-previous is still set aside.*rename"):
        await install(engine)
    assert engine.containers == {"shop-previous": "r/shop:1.4.2"}


async def test_nothing_more_is_tried_after_a_lost_answer() -> None:
    engine = Engine({"shop": "r/shop:1.4.2"}, lost={"create"})
    with pytest.raises(UnknownOutcome) as caught:
        await install(engine)
    assert caught.value.pid == 7
    assert engine.changes == ["rename shop shop-previous"]


async def test_an_engine_that_cannot_be_asked_changes_nothing() -> None:
    engine = Engine({"shop": "r/shop:1.4.2"}, failing={"inspect"})
    with pytest.raises(UnreadableReply, match="Cannot connect"):
        await install(engine)
    assert engine.changes == []


def test_an_image_is_never_an_option() -> None:
    settings = ContainerInstall(name="shop", image="--help", create="x")
    with pytest.raises(ConfigError, match="not the name of an image"):
        settings.prefetch_commands({"version": "1.5.0"})
