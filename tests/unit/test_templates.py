import shlex
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backends.errors import ConfigError
from backends.templates import check_value, check_version, fill, fill_plain, fill_url

ANY_TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
VERSIONS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._+:~-]{0,30}", fullmatch=True).filter(
    lambda version: ":~" not in version
)


def words(script: str) -> list[bytes]:
    """What a real shell makes of the arguments in `script`."""
    done = subprocess.run(
        ["sh", "-c", f"printf '%s\\0' {script}"], capture_output=True, check=True, timeout=10
    )
    assert done.stderr == b""
    return done.stdout.split(b"\0")[:-1]


def test_known_names_are_filled() -> None:
    values = {"app": "shop", "node": "web1", "address": "10.0.0.1", "port": "8080"}
    assert fill("deploy {app} {node} {address}:{port}", values) == "deploy shop web1 10.0.0.1:8080"


@pytest.mark.parametrize(
    "template",
    [
        "awk '{print $1}' {",
        "echo ${version} ${HOME}",
        "podman inspect --format '{{.State}}' x",
        "podman inspect --format '{{version}}' x",
        "echo {unknown} {a,b} {1..3} {}",
    ],
)
def test_other_braces_stay(template: str) -> None:
    assert fill(template, {"version": "1.0"}) == template


def test_the_caller_may_add_names() -> None:
    assert fill_plain("{image}:{version}", {"image": "r/shop", "version": "1"}) == "r/shop:1"


def test_a_known_name_without_a_value_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"\{service\} has no value in 'stop \{service\}'"):
        fill("stop {service}", {"app": "shop"})


def test_values_are_not_filled_again() -> None:
    assert fill_plain("{app}", {"app": "{node}", "node": "x"}) == "{node}"


@settings(max_examples=60, deadline=None)
@given(ANY_TEXT)
def test_a_hostile_value_arrives_as_one_word(value: str) -> None:
    assert words(fill("before {node} after", {"node": value})) == [
        b"before",
        value.encode(),
        b"after",
    ]


@pytest.mark.parametrize(
    "value",
    ["$(id)", "`id`", "a'b", 'a"b', "a;b", "a\nb", "-n", "~root", "x=~root", "", "*", "#", "\\"],
)
def test_known_tricks_arrive_as_one_word(value: str) -> None:
    assert words(fill("{node}", {"node": value})) == [value.encode()]


@settings(max_examples=40, deadline=None)
@given(VERSIONS)
def test_a_version_means_the_same_however_the_operator_quotes_it(version: str) -> None:
    values = {"version": check_version(version)}
    script = fill("""{version} '{version}' "{version}" x={version}""", values)
    assert words(script) == [version.encode()] * 3 + [b"x=" + version.encode()]


@given(VERSIONS)
def test_a_version_needs_no_quotes(version: str) -> None:
    assert fill("{version}", {"version": version}) == version


@pytest.mark.parametrize("version", ["1.4.2", "2024-11-03", "1:2.3-1+deb12u1", "1.0~rc1", "v2", "a" * 128])
def test_versions_that_are_fine(version: str) -> None:
    assert check_version(version) == version


@pytest.mark.parametrize(
    "version",
    ["", "-1", ".1", "1 2", "1/2", "../x", "1;id", "$(id)", "1'", "1\n", "v\x1b[2J", "1:~root"],
)
def test_versions_that_are_refused(version: str) -> None:
    with pytest.raises(ConfigError, match="is not a version") as caught:
        check_version(version)
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize("version", ["a" * 129, "\u0661"])
def test_long_and_foreign_versions_are_refused(version: str) -> None:
    with pytest.raises(ConfigError, match="is not a version"):
        check_version(version)


@pytest.mark.parametrize("value", ["web1", "10.0.0.1", "fe80::1%eth0", "::1", "shop@2", "a_b"])
def test_names_and_addresses_that_are_fine(value: str) -> None:
    assert check_value("nodes.web1.address", value) == value
    assert shlex.split(fill('"{node}"', {"node": value})) == [value]


@pytest.mark.parametrize("value", ["", "-oProxyCommand=x", "a b", "a/b", "a'b", "$x", "~root"])
def test_names_and_addresses_that_are_refused(value: str) -> None:
    with pytest.raises(ConfigError, match=r"^nodes\.web1\.address: .* cannot be used"):
        check_value("nodes.web1.address", value)


@pytest.mark.parametrize(
    ("template", "values", "expected"),
    [
        ("http://{address}:{port}/", {"address": "10.0.0.1", "port": "80"}, "http://10.0.0.1:80/"),
        ("http://{address}:{port}/", {"address": "::1", "port": "80"}, "http://[::1]:80/"),
        ("http://{address}/", {"address": "fe80::1%eth0"}, "http://[fe80::1%25eth0]/"),
        ("http://[{address}]/", {"address": "::1"}, "http://[::1]/"),
        ("http://x/{app}?v={version}", {"app": "a/b", "version": "1+2"}, "http://x/a%2Fb?v=1%2B2"),
    ],
)
def test_urls(template: str, values: dict[str, str], expected: str) -> None:
    assert fill_url(template, values) == expected
