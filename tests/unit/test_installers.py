import json
import shlex
from typing import Any

import msgspec
import pytest

from backends.command import Command
from backends.errors import ConfigError, Refused, UnknownOutcome
from backends.installers.ansible import AnsibleInstall
from backends.installers.command import CommandInstall, NoInstall, SymlinkInstall
from backends.installers.container import ContainerInstall
from backends.installers.packages import AptInstall, DnfInstall
from backends.installers.versions import (
    ContainerVersion,
    DpkgVersion,
    FileVersion,
    RpmVersion,
    SymlinkVersion,
    VersionSettings,
)
from backends.kinds import InstallSettings, default_version, make_installer
from tests.support.scripted_host import Answer, ScriptedHost

VALUES = {"app": "shop", "node": "web1", "address": "10.0.0.1", "port": "8080"}
ON_DISK = FileVersion(path="/opt/shop/VERSION")

COMMAND = CommandInstall(run="deploy {app} {version}", prefetch="fetch {app}-{version}.tgz")
APT = AptInstall(package="shop")
DNF = DnfInstall(package="shop", options="--enablerepo=shop")
SYMLINK = SymlinkInstall(releases="/opt/{app}/releases", link="/opt/{app}/current", prefetch="copy {version}")
CONTAINER = ContainerInstall(
    name="shop-{node}",
    image="localhost:5000/shop",
    create="podman create --name {name} --network host {image}:{version}",
    engine="podman",
    engine_options="--log-level=error",
)
ANSIBLE = AnsibleInstall(
    playbook="deploy.yml",
    inventory="hosts.ini",
    variable="shop_version",
    extra={"serial": 1, "note": "it's {app} on {node}"},
    options="--tags deploy",
)

APT_GET = "env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 -o APT::Get::Remove=false"
APT_INSTALL = (
    f"{APT_GET} install -y --allow-downgrades"
    " -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold"
)
VARIABLES = '{"shop_version":"1.5.0","serial":1,"note":"it\'s shop on web1"}'
PLAYBOOK = (
    "env ANSIBLE_NOCOLOR=1 ansible-playbook --tags deploy --inventory=hosts.ini --limit=web1"
    f" {shlex.quote('--extra-vars=' + VARIABLES)} -- deploy.yml"
)
SWITCH = (
    "[ -d /opt/shop/releases/1.5.0 ] || "
    "{ echo 'no such release: /opt/shop/releases/1.5.0' >&2; exit 1; }; "
    "ln -sfn -- /opt/shop/releases/1.5.0 /opt/shop/current.rolldeck-new && "
    "mv -fT -- /opt/shop/current.rolldeck-new /opt/shop/current"
)


@pytest.mark.parametrize(
    ("settings", "install", "prefetch"),
    [
        (COMMAND, ["sh -c 'deploy shop 1.5.0'"], ["sh -c 'fetch shop-1.5.0.tgz'"]),
        (CommandInstall(run="deploy"), ["sh -c deploy"], []),
        (
            APT,
            [f"{APT_INSTALL} -- shop=1.5.0"],
            [f"{APT_GET} update", f"{APT_INSTALL} --download-only -- shop=1.5.0"],
        ),
        (
            AptInstall(package="shop", update=False, options="-t stable"),
            [f"{APT_INSTALL} -- shop=1.5.0".replace("=false", "=false -t stable")],
            [f"{APT_INSTALL} --download-only -- shop=1.5.0".replace("=false", "=false -t stable")],
        ),
        (
            DNF,
            ["dnf install -y --enablerepo=shop shop-1.5.0"],
            ["dnf install -y --enablerepo=shop --refresh --downloadonly shop-1.5.0"],
        ),
        (
            DnfInstall(package="shop", update=False),
            ["dnf install -y shop-1.5.0"],
            ["dnf install -y --downloadonly shop-1.5.0"],
        ),
        (SYMLINK, [f"sh -c {shlex.quote(SWITCH)}"], ["sh -c 'copy 1.5.0'"]),
        (
            CONTAINER,
            [
                "podman --log-level=error rename shop-web1 shop-web1-previous",
                "sh -c 'podman create --name shop-web1 --network host localhost:5000/shop:1.5.0'",
                "podman --log-level=error rm shop-web1-previous",
            ],
            ["podman --log-level=error pull localhost:5000/shop:1.5.0"],
        ),
        (
            AnsibleInstall(playbook="x.yml", directory="/srv/it's"),
            [
                shlex.join(
                    [
                        "sh",
                        "-c",
                        f"cd -- {shlex.quote(chr(47) + 'srv/it' + chr(39) + 's')} && exec "
                        "env ANSIBLE_NOCOLOR=1 ansible-playbook --limit=web1 "
                        """'--extra-vars={"version":"1.5.0"}' -- x.yml""",
                    ]
                )
            ],
            [],
        ),
        (ANSIBLE, [PLAYBOOK], []),
        (NoInstall(), [], []),
    ],
)
def test_commands(settings: InstallSettings, install: list[str], prefetch: list[str]) -> None:
    installer = make(settings, ScriptedHost())
    assert installer.install_commands("1.5.0") == commands(*install)
    assert installer.prefetch_commands("1.5.0") == commands(*prefetch)


def commands(*lines: str) -> tuple[Command, ...]:
    return tuple(Command(tuple(shlex.split(line))) for line in lines)


def make(settings: InstallSettings, host: ScriptedHost, console: ScriptedHost | None = None) -> Any:
    return make_installer(
        settings,
        default_version(settings) or ON_DISK,
        host=host,
        console=console or ScriptedHost(),
        values=VALUES,
    )


@pytest.mark.parametrize(
    ("settings", "version"),
    [
        (APT, DpkgVersion(package="shop")),
        (DNF, RpmVersion(package="shop")),
        (DnfInstall(package="shop", release=True), RpmVersion(package="shop", release=True)),
        (SYMLINK, SymlinkVersion(path="/opt/{app}/current")),
        (
            CONTAINER,
            ContainerVersion(name="shop-{node}", engine="podman", engine_options="--log-level=error"),
        ),
        (COMMAND, None),
        (ANSIBLE, None),
        (NoInstall(), None),
    ],
)
def test_the_way_of_installing_implies_where_the_version_is(
    settings: InstallSettings, version: VersionSettings | None
) -> None:
    assert default_version(settings) == version


@pytest.mark.parametrize("settings", [COMMAND, APT, DNF, SYMLINK, CONTAINER, ANSIBLE, NoInstall()])
@pytest.mark.parametrize("version", ["1;reboot", "$(id)", "-1", ""])
def test_no_command_for_a_version_that_is_none(settings: InstallSettings, version: str) -> None:
    installer = make(settings, ScriptedHost())
    with pytest.raises(ConfigError, match="is not a version"):
        installer.install_commands(version)
    with pytest.raises(ConfigError, match="is not a version"):
        installer.prefetch_commands(version)


@pytest.mark.parametrize(
    ("release", "version"), [(False, "1.5.0-2.el9"), (True, "1.5.0"), (False, "1:1.5.0")]
)
def test_an_rpm_version_that_could_never_be_read_back(release: bool, version: str) -> None:
    with pytest.raises(ConfigError, match="expected VERSION"):
        make(DnfInstall(package="shop", release=release), ScriptedHost()).install_commands(version)


@pytest.mark.parametrize(
    ("releases", "link", "target"),
    [
        ("/opt/releases", "/opt/current", "/opt/releases/1.5.0"),
        ("/opt/releases", "current", "/opt/releases/1.5.0"),
        ("releases", "current", "releases/1.5.0"),
        ("shop/releases", "shop/current", "releases/1.5.0"),
        ("releases", "web/current", "../releases/1.5.0"),
        ("../releases", "current", "../releases/1.5.0"),
    ],
)
def test_where_the_link_points_to(
    releases: str, link: str, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/")  # the folder here means nothing there
    settings = SymlinkInstall(releases=releases, link=link)
    (command,) = make(settings, ScriptedHost()).install_commands("1.5.0")
    assert f"ln -sfn -- {target} {link}.rolldeck-new" in command.argv[2]


PATTERNS = (
    *("all", "ungrouped", "a,b", "@file", "!x", "&x", "~regex"),
    *("web*", "web?", "web[12]", "a:b", "", "::1"),
)


@pytest.mark.parametrize("node", PATTERNS)
def test_a_limit_that_ansible_would_read_as_more_than_one_host(node: str) -> None:
    """`::1` too: beside other text its colons part it into several patterns."""
    settings = AnsibleInstall(playbook="x.yml", limit="{node}:&web")
    with pytest.raises(ConfigError, match=r"install\.limit.*\{node\} is .* the name of one host"):
        settings.install_commands({**VALUES, "node": node, "version": "1.5.0"})


@pytest.mark.parametrize(
    ("limit", "filled"),
    [
        ("{node}", "web-1.example.com"),
        ("{address}", "fe80::1"),
        ("web:!{node}", "web:!web-1.example.com"),
        ("all", "all"),
    ],
)
def test_a_limit_of_one_host_or_of_the_operator(limit: str, filled: str) -> None:
    values = {"node": "web-1.example.com", "address": "fe80::1", "app": "a,b", "version": "1.5.0"}
    (command,) = AnsibleInstall(playbook="x.yml", limit=limit).install_commands(values)
    assert f"--limit={filled}" in command.argv


def test_a_version_that_looks_like_a_number_stays_a_text_for_ansible() -> None:
    (command,) = make(ANSIBLE, ScriptedHost()).install_commands("1.10")
    variables = next(word for word in command.argv if word.startswith("--extra-vars="))
    assert json.loads(variables.removeprefix("--extra-vars="))["shop_version"] == "1.10"


async def test_installing_runs_tracked_and_with_its_time() -> None:
    host = ScriptedHost()
    settings = CommandInstall(run="deploy {version}", prefetch="fetch {version}")
    await make(settings, host).prefetch("1.5.0")
    await make(settings, host).install("1.5.0")
    assert host.ran == list(commands("sh -c 'fetch 1.5.0'", "sh -c 'deploy 1.5.0'"))
    assert host.tracked == host.recorded == host.ran
    assert host.timeouts == [600, 600]


DPKG_SAID = """Setting up shop (1.5.0) ...
cannot migrate the database
dpkg: error processing package shop (--configure):
"""
ROLE_SAID = """
PLAY [all] *****

TASK [shop : Migrate] ***
ok: [web1]

TASK [shop : Unpack {}] ***
failed: [web1] (item=a) => {{"msg": "non-zero return code", "stdout": "", "stderr": "disk is full"}}
...ignoring

TASK [shop : Link] ***
fatal: [web1]: FAILED! => {}

PLAY RECAP ****
web1                       : ok=1    changed=0    unreachable=0    failed=1    skipped=0
"""


@pytest.mark.parametrize(
    ("settings", "answer", "words"),
    [
        (APT, Answer(DPKG_SAID, "E: Sub-process returned an error code (1)\n", 100), "cannot migrate the da"),
        (DNF, Answer("All matches were filtered out\n", "Error: Unable to find a match", 1), "filtered out"),
        (
            ANSIBLE,
            Answer(ROLE_SAID.format("", '{"msg": "no such user", "rc": 3}'), "[WARNING]: old syntax\n", 2),
            "task 'shop : Link': no such user",
        ),
        (
            ANSIBLE,
            Answer(ROLE_SAID.format("", "no JSON"), "", 2),
            "task 'shop : Link': fatal: [web1]: FAILED!",
        ),
        (ANSIBLE, Answer(ROLE_SAID.format("", "{}"), "", 2), "task 'shop : Link': (no message)"),
        (ANSIBLE, Answer("", "[WARNING]: x\nERROR! no playbook\n", 1), "exit status 1: ERROR! no playbook"),
        (ANSIBLE, Answer("", "env: ansible-playbook: not found", 127), "env: ansible-playbook: not found"),
    ],
)
async def test_why_an_install_failed_is_in_the_error(
    settings: InstallSettings, answer: Answer, words: str
) -> None:
    host = ScriptedHost(lambda _: answer)
    with pytest.raises(Refused) as caught:
        await make(settings, host, host).install("1.5.0")
    assert words in str(caught.value)
    assert len(str(caught.value)) < 1_500


async def test_nothing_runs_after_a_failure() -> None:
    host = ScriptedHost(lambda _: Answer(stderr="Reading lists\nE: no space left\n", exit_status=100))
    with pytest.raises(Refused, match=r"prefetch 1\.5\.0: exit status 100: .*no space left"):
        await make(APT, host).prefetch("1.5.0")
    assert host.ran == list(commands(f"{APT_GET} update"))


async def test_a_lost_answer_passes_through_with_its_process() -> None:
    def lost(_: Command) -> Answer:
        raise UnknownOutcome("web1", "connection lost", pid=4711)

    with pytest.raises(UnknownOutcome) as caught:
        await make(COMMAND, ScriptedHost(lost)).install("1.5.0")
    assert caught.value.pid == 4711


async def test_ansible_runs_on_the_console_and_the_version_is_read_on_the_node() -> None:
    node, console = ScriptedHost(lambda _: Answer("1.5.0\n")), ScriptedHost()
    installer = make(ANSIBLE, node, console)
    await installer.install("1.5.0")
    assert await installer.installed() == "1.5.0"
    assert console.ran == list(commands(PLAYBOOK))
    assert node.ran == [ON_DISK.command(VALUES)]


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"kind": "apt", "package": "-shop"}, r"`\$\.package`"),
        ({"kind": "dnf", "package": "/tmp/x.rpm"}, r"`\$\.package`"),
        ({"kind": "symlink", "releases": "releases", "link": "/opt/current"}, "absolute path"),
        ({"kind": "command"}, "missing required field `run`"),
        ({"kind": "none", "run": "x"}, "unknown field `run`"),
        ({"kind": "container", "name": "x", "image": "y", "create": "z", "engine": "lxc"}, "lxc"),
    ],
)
def test_configuration_that_is_refused(settings: object, problem: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=problem):
        msgspec.convert(settings, InstallSettings)


@pytest.mark.parametrize("settings", [COMMAND, APT, DNF, SYMLINK, CONTAINER, ANSIBLE, NoInstall()])
def test_configuration_survives_a_round_trip(settings: InstallSettings) -> None:
    assert msgspec.json.decode(msgspec.json.encode(settings), type=InstallSettings) == settings
