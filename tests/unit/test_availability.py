"""Whether a version can be had: what each installer asks a node, and what is made of the answer."""

import asyncio
from dataclasses import dataclass, replace
from typing import Any, cast

import msgspec
import pytest

from backends.command import Command
from backends.errors import ConfigError, Unreachable, UnreadableReply
from backends.installers.ansible import AnsibleInstall
from backends.installers.command import CommandInstall, NoInstall, SymlinkInstall
from backends.installers.container import ContainerInstall
from backends.installers.packages import AptInstall, DnfInstall
from backends.installers.versions import FileVersion
from backends.kinds import InstallSettings, make_installer
from backends.node_state import THERE, Availability, Presence
from backends.protocols import Installer
from orchestrator.planning.plan import PlannedNode
from orchestrator.preflight.nodes import MAX_CHECKS_PER_HOST, check_availability
from tests.support.fake_fleet import World
from tests.support.scripted_host import Answer, ScriptedHost

VALUES = {"app": "shop", "node": "web1", "address": "10.0.0.1", "port": "80", "service": "shop"}
NOT_THERE, NOT_KNOWN = Presence.NOT_THERE, Presence.NOT_KNOWN

SYMLINK = SymlinkInstall(releases="/opt/{app}/releases", link="/opt/{app}/current")
APT = AptInstall(package="shop", update=False)
IMAGE = ContainerInstall(name="shop", image="r.example.com/shop", create="x", engine="podman")
LISTED = """\
      shop |    1.6.0-1 | http://deb.example.com/debian stable/main amd64 Packages
      shop |    1.5.0-1 | http://deb.example.com/debian stable/main amd64 Packages
      shop |    9.9.9-1 | http://deb.example.com/debian stable/main Sources
"""


REFUSED = Answer("", "sudo: a password is required", 1)


def installer(settings: InstallSettings, host: ScriptedHost) -> Installer:
    version = FileVersion(path="/VERSION")
    return make_installer(settings, version, host=host, console=host, values=VALUES)


async def asked(
    settings: InstallSettings, version: str, *answers: Answer, fetched: Answer = REFUSED
) -> tuple[Availability, list[Command]]:
    """What is found, with these answers in their order, and what was asked beside the installer's program."""
    waiting, ran = list(answers), list[Command]()

    def answer(command: Command) -> Answer:
        if "command -v" in command.argv[2]:
            return Answer("there\n")
        if "dpkg-query" in command.argv:
            return Answer("install\n")
        if "no link" in command.argv[2]:
            return Answer()
        if "State.Running" in command.argv[-2]:
            return Answer("no such container\n")
        if "apt-config" in command.argv[2] or "repolist" in command.argv:
            return fetched
        ran.append(command)
        return waiting.pop(0)

    host = ScriptedHost(answer)
    found = await installer(settings, host).check_availability(version)
    assert host.recorded == [], "a question is none of the rollout's commands"
    assert not waiting
    return found, ran


@pytest.mark.parametrize(
    ("settings", "version", "answer", "presence", "others"),
    [
        (SYMLINK, "1.6.0", Answer("there\n"), Presence.THERE, ()),
        (SYMLINK, "9.9.9", Answer("missing\n1.6.0/\n1.5.0/\na b/\n-x/\n"), NOT_THERE, None),
        (SYMLINK, "9.9.9", Answer("missing\n"), NOT_THERE, ()),
        (SYMLINK, "9.9.9", Answer("", "sudo: a password is required", 1), NOT_KNOWN, ()),
        (APT, "1.6.0-1", Answer(LISTED), Presence.THERE, ()),
        (APT, "9.9.9-1", Answer(LISTED), NOT_THERE, ("1.6.0-1", "1.5.0-1")),
        (APT, "1.6.0-1", Answer("", "N: Unable to locate package shop"), NOT_THERE, ()),
        (APT, "1.6.0-1", Answer("", "E: Could not read the lists", 100), NOT_KNOWN, ()),
        (AptInstall(package="shop"), "9.9.9-1", Answer(LISTED), NOT_KNOWN, ("1.6.0-1", "1.5.0-1")),
        (DnfInstall(package="shop"), "1.6.0", Answer("1.5.0\n\n1.6.0\n"), Presence.THERE, ()),
        (DnfInstall(package="shop"), "9.9.9", Answer("1.5.0\n1.6.0\n"), NOT_KNOWN, ("1.6.0", "1.5.0")),
        (DnfInstall(package="shop"), "9.9.9", Answer("", "Error: no cache", 1), NOT_KNOWN, ()),
        (CommandInstall(run="x", exists="y"), "1", Answer("\nrolldeck: exit status 0\n"), Presence.THERE, ()),
        (CommandInstall(run="x", exists="y"), "1", Answer("no\nrolldeck: exit status 1\n"), NOT_THERE, ()),
        (CommandInstall(run="x", exists="y"), "1", Answer("no\nrolldeck: exit status 2\n"), NOT_KNOWN, ()),
        (CommandInstall(run="x", exists="y"), "1", Answer("\nrolldeck: exit status 124\n"), NOT_KNOWN, ()),
        (CommandInstall(run="x", exists="y"), "1", Answer("", "sudo: no", 1), NOT_KNOWN, ()),
    ],
)
async def test_one_question_and_its_answer(
    settings: InstallSettings, version: str, answer: Answer, presence: Presence, others: Any
) -> None:
    found, _ = await asked(settings, version, answer)
    assert found.presence is presence, found
    if others is None:
        others = ("1.6.0", "1.5.0")  # none that could be an option
        assert found.others[:2] == others
        assert "-x" not in found.others
    else:
        assert found.others == others


REPOLIST = """\
Repo-id            : base
Repo-updated       : Sat Nov 28 20:23:11 2026
Repo-expire        : 172800 second(s) (last: Sat Nov 28 20:23:12 2026)
"""
OLDER = "Repo-expire : 172800 second(s) (last: Fri Nov 27 06:01:59 2026)\n"
APT_AT = "apt last changed the lists at"
DNF_AT = "dnf fetched that at"


@pytest.mark.parametrize(
    ("settings", "listed", "fetched", "words"),
    [
        (AptInstall(package="shop"), LISTED, Answer("1795897392\n"), f"{APT_AT} 2026-11-28 20:23 UTC"),
        (APT, LISTED, Answer("1795897392\n"), f"{APT_AT} 2026-11-28 20:23 UTC"),
        (APT, LISTED, Answer("9" * 40), ""),
        (APT, LISTED, Answer("", "stat: no such file", 1), ""),
        (DnfInstall(package="shop"), "1.5.0\n", Answer(REPOLIST), f"{DNF_AT} 2026-11-28 20:23 UTC"),
        (
            DnfInstall(package="shop"),
            "1.5.0\n",
            Answer(REPOLIST + OLDER),
            f"{DNF_AT} 2026-11-27 06:01 UTC or later",
        ),
        (DnfInstall(package="shop"), "1.5.0\n", Answer(REPOLIST.replace("Sat ", "Sa. ")), ""),
        (DnfInstall(package="shop"), "1.5.0\n", Answer("Repo-expire : never"), ""),
    ],
)
async def test_when_what_has_it_not_was_fetched(
    settings: InstallSettings, listed: str, fetched: Answer, words: str
) -> None:
    found, _ = await asked(settings, "9.9.9", Answer(listed), fetched=fetched)
    unknown, _ = await asked(settings, "9.9.9", Answer(listed))
    assert found.detail == (f"{unknown.detail}; {words}" if words else unknown.detail)


@pytest.mark.parametrize(
    ("settings", "answer", "lacking"),
    [
        (AptInstall(package="shop"), Answer(LISTED), True),
        (AptInstall(package="shop"), Answer("", "N: Unable to locate package shop"), False),
        (AptInstall(package="shop"), Answer("", "E: Could not read the lists", 100), False),
        (DnfInstall(package="shop"), Answer("1.5.0\n"), True),
        (DnfInstall(package="shop"), Answer(""), False),
        (DnfInstall(package="shop"), Answer("", "Error: no cache", 1), False),
    ],
)
async def test_only_lists_of_the_package_can_lack_a_version(
    settings: InstallSettings, answer: Answer, lacking: bool
) -> None:
    found, _ = await asked(settings, "9.9.9", answer)
    assert (found.presence, found.lacking) == (NOT_KNOWN, lacking)


async def test_the_questions() -> None:
    _, ran = await asked(AptInstall(package="shop", options="-t stable -o A=b -c /x"), "1", Answer(LISTED))
    apt = ("env", "LC_ALL=C", "apt-cache", "-o", "A=b", "-c", "/x", "madison", "shop")
    assert ran == [Command(apt)]
    _, ran = await asked(DnfInstall(package="shop", release=True, options="--repo=r"), "1-2", Answer("1-2"))
    assert ran[0].argv[2:] == (
        *("dnf", "repoquery", "--cacheonly", "--quiet", "--repo=r"),
        *("--queryformat", r"%{version}-%{release}\n", "shop"),
    )
    _, ran = await asked(SYMLINK, "1.6.0", Answer("there"))
    assert ran[0].argv[2].startswith("if [ -d /opt/shop/releases/1.6.0 ]; then echo there;")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (CommandInstall(run="x"), "no `exists` command is configured"),
        (NoInstall(), "it is installed by other means"),
    ],
)
async def test_who_cannot_tell_asks_nothing(settings: InstallSettings, words: str) -> None:
    found, ran = await asked(settings, "1.6.0")
    assert (found.presence, found.any_version) == (NOT_KNOWN, True)
    assert words in found.detail
    assert ran == []


@pytest.mark.parametrize(
    ("limit", "answer", "presence", "words"),
    [
        ("{node}", "    hosts (1):\n      web1\n", NOT_KNOWN, "Ansible cannot tell which versions"),
        (
            "{node}",
            "    hosts (0):\n",
            NOT_THERE,
            "no play of the playbook is for a host of the limit 'web1'",
        ),
        ("{node}", "    hosts (2):\n      a\n      b\n", NOT_THERE, "'web1' is 2 hosts for Ansible (a, b)"),
        ("{node},lb", "    hosts (2):\n      a\n      b\n", NOT_KNOWN, "Ansible cannot tell"),
        ("{node}", "    hosts (2):\n      a\n      localhost\n", NOT_KNOWN, "Ansible cannot tell"),
        ("{node}", "output of another kind\n", NOT_KNOWN, "Ansible cannot tell"),
    ],
)
async def test_hosts_of_a_playbook(limit: str, answer: str, presence: Presence, words: str) -> None:
    text = f"\nplaybook: p.yml\n\n  play #1 (all): all\tTAGS: []\n    pattern: ['all']\n{answer}"
    found, ran = await asked(AnsibleInstall(playbook="p.yml", limit=limit), "1.6.0", Answer(text))
    assert (found.presence, words in found.detail) == (presence, True), found
    assert found.any_version is (presence is NOT_KNOWN)
    assert ran[0].argv[2:4] == ("ansible-playbook", "--list-hosts")


async def test_a_held_package_is_refused_however_new_the_lists_are() -> None:
    def answer(command: Command) -> Answer:
        return Answer("hold\n" if "dpkg-query" in command.argv else "there\n")

    found = await installer(AptInstall(package="shop"), ScriptedHost(answer)).check_availability("1.6.0")
    assert found.presence is NOT_THERE
    assert found.detail == "shop is held; `apt-mark unhold shop` on the node ends the hold"


async def test_one_host_is_looked_at_a_few_times_at_once() -> None:
    """Ansible's looks are all on the console's machine."""
    world = World(nodes=12)
    at_once = [0, 0]

    @dataclass(frozen=True)
    class Slow:
        host: ScriptedHost

        async def check_availability(self, _: str) -> Availability:
            at_once[0] += 1
            at_once[1] = max(at_once)
            await asyncio.sleep(0)
            at_once[0] -= 1
            return THERE

    console = Slow(ScriptedHost())
    nodes = [replace(node, installer=cast("Installer", console)) for node in world.application.nodes]
    planned = [PlannedNode(node.name, (), {}, "1.0", "1.0", steps=("install",), reason="") for node in nodes]
    found = await check_availability(nodes, planned, "1.6.0")
    assert (len(found), at_once[1]) == (len(nodes), MAX_CHECKS_PER_HOST)


async def test_what_prefetch_is_to_bring_is_not_refused() -> None:
    settings = msgspec.structs.replace(SYMLINK, prefetch="rsync r::{version} /opt")
    found, _ = await asked(settings, "1.7.0", Answer("missing\n1.6.0/\n"))
    assert found.presence is NOT_KNOWN
    assert "`prefetch` is to bring it before the first node is taken out" in found.detail
    assert found.others == ("1.6.0",)


ABSENT = Answer("", "Error: r.example.com/shop:9.9.9: image not known", 125)
TAGS = Answer("1.6.0\n1.5.0\n<none>\n")


@pytest.mark.parametrize(
    ("answers", "presence"),
    [
        ([Answer("sha256:1")], Presence.THERE),
        ([ABSENT, TAGS, Answer("{}")], Presence.THERE),
        (
            [ABSENT, TAGS, Answer("", "reading manifest 9.9.9 in r/shop: manifest unknown", 125)],
            1,
        ),
        ([ABSENT, TAGS, Answer("", "errors:\ndenied: requested access is denied", 1)], NOT_KNOWN),
        ([ABSENT, TAGS, Answer("", "no such manifest: r.example.com/shop:9.9.9", 1)], NOT_KNOWN),
        ([ABSENT, TAGS, Answer("", "dial tcp: connection refused", 125)], NOT_KNOWN),
        ([ABSENT, TAGS, Answer("", "", 124)], NOT_KNOWN),
        ([Answer("", "Cannot connect to the Docker daemon", 1)], NOT_KNOWN),
        ([Answer("", "podman: not found", 127)], NOT_KNOWN),
    ],
)
async def test_images(answers: list[Answer], presence: Any) -> None:
    found, ran = await asked(IMAGE, "9.9.9", *answers)
    assert found.presence is (NOT_THERE if presence == 1 else presence), found
    assert not any("pull" in command.argv for command in ran)
    if len(answers) == 3:
        assert ran[2].argv[2:] == ("podman", "manifest", "inspect", "r.example.com/shop:9.9.9")


async def test_an_image_that_was_built_here_is_in_no_registry() -> None:
    found, ran = await asked(
        msgspec.structs.replace(IMAGE, image="localhost/shop"), "9.9.9", ABSENT, Answer("1.6.0\n")
    )
    assert (found.presence, found.others, len(ran)) == (NOT_THERE, ("1.6.0",), 2)


@pytest.mark.parametrize("error", [UnreadableReply("web1", "no end in time"), Unreachable("web1", "gone")])
async def test_what_cannot_be_asked_is_not_known(error: Exception) -> None:
    def fail(_: Command) -> Answer:
        raise error

    found = await installer(SYMLINK, ScriptedHost(fail)).check_availability("1.6.0")
    assert found.presence is NOT_KNOWN
    assert found.detail in str(error)


async def test_a_version_that_is_none_is_an_error() -> None:
    with pytest.raises(ConfigError, match="is not a version"):
        await installer(SYMLINK, ScriptedHost()).check_availability("$(id)")


@pytest.mark.parametrize(
    ("settings", "program"),
    [
        (CommandInstall(run="/opt/deploy {version}", exists="true"), "/opt/deploy"),
        (AnsibleInstall(playbook="p.yml"), "ansible-playbook"),
        (AptInstall(package="shop", update=False), ""),  # downloading by the same program comes first
        (CommandInstall(run="/opt/deploy {version}", prefetch="fetch"), ""),  # which may bring the program
    ],
)
async def test_an_installer_that_is_not_there_brings_nothing(settings: InstallSettings, program: str) -> None:
    host = ScriptedHost(lambda command: Answer("missing\n" if command.argv[-1] == program else ""))
    found = await installer(settings, host).check_availability("1.6.0")
    if program:
        text = f"the program of the command for install is not there: {program}"
        assert found == Availability(NOT_THERE, text)
    else:
        assert "is not there:" not in found.detail
    assert host.recorded == []


async def test_sudo_that_would_refuse_to_install() -> None:
    host = ScriptedHost(refusal=lambda _: "a password is required")
    found = await installer(CommandInstall(run="sudo -n apt-get install shop"), host).check_availability("1")
    assert found.presence is NOT_THERE
    assert found.detail.startswith("sudo would not run the command for install, `")
