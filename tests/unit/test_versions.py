import shlex

import msgspec
import pytest

from backends.command import Command
from backends.errors import ConfigError, RolldeckError, UnknownOutcome, Unreachable, UnreadableReply
from backends.installers.versions import (
    CommandVersion,
    ContainerVersion,
    DpkgVersion,
    FileVersion,
    RpmVersion,
    SymlinkVersion,
    VersionProbe,
    VersionSettings,
    image_tag,
)
from tests.support.scripted_host import Answer, ScriptedHost

VALUES = {"app": "shop", "node": "web1", "address": "10.0.0.1", "port": "8080"}
COMMAND = CommandVersion(run="/opt/{app}/bin/version --port {port}")
JAVA = CommandVersion(run="java -jar shop.jar -v 2>&1", pattern=r"^shop version (\S+)$")
FILE = FileVersion(path="/opt/{app}/VERSION")
LINK = SymlinkVersion(path="/opt/{app}/current")
JAR = SymlinkVersion(path="/opt/shop/shop.jar", pattern=r"shop-(.*)\.jar")
DPKG = DpkgVersion(package="shop")
RPM = RpmVersion(package="shop")
RPM_RELEASE = RpmVersion(package="shop", release=True)
CONTAINER = ContainerVersion(name="shop-{node}", engine="podman", engine_options="--log-level=error")


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        (COMMAND, "sh -c '/opt/shop/bin/version --port 8080'"),
        (FILE, "env LC_ALL=C head -c 65536 -- /opt/shop/VERSION"),
        (LINK, "env LC_ALL=C readlink -v -- /opt/shop/current"),
        (
            DPKG,
            "env LC_ALL=C dpkg-query -W"
            r" '--showformat=${db:Status-Status} ${Version}\n' -- shop",
        ),
        (RPM, r"env LC_ALL=C rpm -q --queryformat '%{VERSION}\n' -- shop"),
        (RPM_RELEASE, r"env LC_ALL=C rpm -q --queryformat '%{VERSION}-%{RELEASE}\n' -- shop"),
        (
            CONTAINER,
            "podman --log-level=error inspect --type container --format"
            """ '{{if eq .Name "shop-web1" "/shop-web1"}}{{.Config.Image}}{{else}}no such container{{end}}'"""
            " shop-web1",
        ),
    ],
)
def test_commands(settings: VersionSettings, line: str) -> None:
    assert settings.command(VALUES) == Command(tuple(shlex.split(line)))


async def look(settings: VersionSettings, answer: Answer) -> str | None:
    return await VersionProbe(ScriptedHost(lambda _: answer), settings, VALUES).installed()


@pytest.mark.parametrize(
    ("settings", "answer", "expected"),
    [
        (COMMAND, Answer("\n  \n 1.4.2 \nmore\n"), "1.4.2"),
        (JAVA, Answer("OpenJDK 17\nshop version 1.4.2\n"), "1.4.2"),
        (FILE, Answer("1.4.2\n"), "1.4.2"),
        (
            FILE,
            Answer("", "head: cannot open 'x' for reading: No such file or directory\n", 1),
            None,
        ),
        (LINK, Answer("/opt/shop/releases/1.4.2/\n"), "1.4.2"),
        (LINK, Answer("1.4.2\n"), "1.4.2"),
        (LINK, Answer("", "readlink: /opt/shop/current: No such file or directory", 1), None),
        (JAR, Answer("../lib/shop-1.4.2.jar\n"), "1.4.2"),
        (DPKG, Answer("installed 1:1.4.2-1~deb12\n"), "1:1.4.2-1~deb12"),
        (DPKG, Answer("installed 1.4.2\ninstalled 1.4.2\n"), "1.4.2"),
        (DPKG, Answer("config-files 1.4.2\n"), None),
        (DPKG, Answer("half-configured 1.4.2\n"), None),
        (DPKG, Answer("not-installed \n"), None),
        (DPKG, Answer("", "dpkg-query: no packages found matching shop\n", 1), None),
        (RPM, Answer("1.4.2\n"), "1.4.2"),
        (RPM_RELEASE, Answer("1.4.2-3.el9\n"), "1.4.2-3.el9"),
        (RPM, Answer("package shop is not installed\n", "", 1), None),
        (CONTAINER, Answer("localhost:5000/shop:1.4.2\n"), "1.4.2"),
        (CONTAINER, Answer("", 'Error: inspecting object: no such container "shop"', 125), None),
        (CONTAINER, Answer("no such container\n"), None),
        (CONTAINER, Answer("[]", "Error: No such container: shop-web1", 1), None),
    ],
)
async def test_what_is_installed(settings: VersionSettings, answer: Answer, expected: str | None) -> None:
    assert await look(settings, answer) == expected


@pytest.mark.parametrize(
    ("settings", "answer", "problem"),
    [
        (COMMAND, Answer("1.4.2", "boom\n", 3), "exit status 3: boom"),
        (COMMAND, Answer("\n\n"), "nothing was printed$"),
        (COMMAND, Answer("", "1.4.2\n"), "on standard output; standard error, .* says: 1.4.2"),
        (COMMAND, Answer("shop 1.4.2 (build 7)\n"), "is not a version.*`pattern`"),
        (COMMAND, Answer("\x1b[31m1.4.2\n"), r"'\\x1b\[31m1.4.2' is not a version"),
        (JAVA, Answer("shop edition 1.4.2\n"), "nothing matches"),
        (FILE, Answer(""), "nothing was printed"),
        (FILE, Answer("", "head: cannot open 'x' for reading: Permission denied", 1), "Permission"),
        (FILE, Answer("", "dial unix: no such file or directory", 1), "no such file"),
        (LINK, Answer("", "readlink: /opt/shop/current: Invalid argument", 1), "there is no link"),
        (LINK, Answer("/\n"), "nothing was printed"),
        (DPKG, Answer("", "sh: dpkg-query: not found", 127), "exit status 127"),
        (DPKG, Answer("installed 1.4.2\ninstalled 1.4.3\n"), r"several .* 1\.4\.2, 1\.4\.3"),
        (RPM, Answer("1.4.2\n1.5.0\n"), "several versions"),
        (CONTAINER, Answer("shop@sha256:abc\n"), "no tag"),
        (CONTAINER, Answer("", "Cannot connect to the Docker daemon", 1), "Cannot connect"),
    ],
)
async def test_what_cannot_be_told_is_never_a_version(
    settings: VersionSettings, answer: Answer, problem: str
) -> None:
    with pytest.raises(UnreadableReply, match=problem) as caught:
        await look(settings, answer)
    assert caught.value.target == "web1"
    assert "\x1b" not in str(caught.value)


async def test_looking_is_neither_recorded_nor_tracked() -> None:
    host = ScriptedHost(lambda _: Answer("1.4.2\n"))
    assert await VersionProbe(host, COMMAND, VALUES, timeout=7.0).installed() == "1.4.2"
    assert (host.recorded, host.tracked, host.timeouts) == ([], [], [7.0])


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (UnknownOutcome("web1", "connection lost", pid=7), UnreadableReply),
        (Unreachable("web1", "refused"), Unreachable),
    ],
)
async def test_a_lost_look_is_a_look_not_made(raised: RolldeckError, expected: type[RolldeckError]) -> None:
    def fail(_: Command) -> Answer:
        raise raised

    with pytest.raises(expected):
        await VersionProbe(ScriptedHost(fail), FILE, VALUES).installed()


async def test_the_wanted_version_is_unknown_to_a_look() -> None:
    with pytest.raises(ConfigError, match=r"\{version\} has no value"):
        await look(CommandVersion(run="shop-{version} --version"), Answer())


async def test_a_container_name_is_never_an_option() -> None:
    with pytest.raises(ConfigError, match="cannot be used: expected letters"):
        await look(ContainerVersion(name="--all"), Answer())


@pytest.mark.parametrize(
    ("image", "tag"),
    [
        ("shop:1.4.2", "1.4.2"),
        ("docker.io/library/shop:1.4.2", "1.4.2"),
        ("localhost:5000/shop:1.4.2", "1.4.2"),
        ("localhost:5000/shop", "latest"),
        ("shop", "latest"),
        ("shop:1.4.2@sha256:" + "a" * 64, "1.4.2"),
        ("localhost:5000/shop@sha256:" + "a" * 64, ""),
        ("sha256:" + "a" * 64, ""),
        ("deadbeef0123", ""),
    ],
)
def test_image_tags(image: str, tag: str) -> None:
    assert image_tag(image) == tag


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"kind": "dpkg", "package": "shop"}, DPKG),
        ({"kind": "rpm", "package": "shop", "release": True}, RPM_RELEASE),
        ({"kind": "symlink", "path": "/opt/{app}/current"}, LINK),
    ],
)
def test_configuration(settings: object, expected: VersionSettings) -> None:
    assert msgspec.convert(settings, VersionSettings) == expected


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"kind": "dpkg", "package": "*"}, r"matching regex .* `\$\.package`"),
        ({"kind": "dpkg", "package": "--version"}, r"`\$\.package`"),
        ({"kind": "dpkg", "package": "shop\n"}, r"`\$\.package`"),
        ({"kind": "dpkg", "package": "shop", "paket": "x"}, "unknown field `paket`"),
        ({"kind": "file", "path": "x", "pattern": "("}, "not a regular expression"),
        ({"kind": "file", "path": "x", "pattern": "v.*"}, "0 groups, expected one"),
        ({"kind": "symlink", "path": "/opt/shop/current/"}, "without a slash at its end"),
        ({"kind": "brew"}, "Invalid value 'brew'"),
    ],
)
def test_configuration_that_is_refused(settings: object, problem: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=problem):
        msgspec.convert(settings, VersionSettings)
