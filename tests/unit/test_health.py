import shlex
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.command import Command
from backends.errors import UnreadableReply
from backends.health.checks import MAX_DETAIL_CHARS, printable
from backends.health.http import HttpCheck, HttpHealth, Page, judge, version_of
from backends.health.http_client import curl
from backends.kinds import HealthCheckFactory, HealthSettings
from backends.node_state import HealthResult
from tests.support.scripted_host import Answer, ScriptedHost

VALUES = {"app": "shop", "node": "web1", "address": "127.0.0.1", "port": "8080"}
URL = "http://{address}:{port}/health"


def http(**settings: Any) -> HttpHealth:
    return msgspec.convert({"url": URL, **settings}, HttpHealth)


@pytest.mark.parametrize(
    ("settings", "page"),
    [
        (http(), Page(200, "")),
        (http(status=204), Page(204, "")),
        (http(status=[200, 204]), Page(204, "")),
        (http(body="^UP$"), Page(200, "UP")),
        (http(json={"status": "UP"}), Page(200, '{"status":"UP","components":{}}')),
        (http(json={"a": {"b": {"c": 1}}}), Page(200, '{"a":{"b":{"c":1}}}')),
        (http(json={"a.b.c": True}), Page(200, '{"a":{"b":{"c":true}}}')),
        (http(json={"a.b.c": True}), Page(200, '{"a.b":{"c":true}}')),
        (http(json={"a": {"b": {"c": 1}}}), Page(200, '{"a.b.c":1}')),
        (http(json={"checks.1.status": "UP"}), Page(200, '{"checks":[{},{"status":"UP"}]}')),
        (http(json={"ratio": 1}), Page(200, '{"ratio":1.0}')),
    ],
)
def test_pages_that_are_as_expected(settings: HttpHealth, page: Page) -> None:
    assert judge(settings, page) == ""


@pytest.mark.parametrize(
    ("settings", "page", "problem"),
    [
        (http(), Page(503, "UP"), "HTTP 503 Service Unavailable, expected 200"),
        (http(status=[200, 204]), Page(302, ""), "HTTP 302 Found, expected 200 or 204"),
        (http(), Page(799, ""), "HTTP 799, expected 200"),
        (http(body="^UP$"), Page(200, "DOWN"), "the body does not match '^UP$'"),
        (http(json={"status": "UP"}), Page(200, '{"status":"DOWN"}'), "status is DOWN, expected UP"),
        (http(json={"up": True}), Page(200, '{"up":1}'), "up is 1, expected true"),
        (http(json={"up": 1}), Page(200, '{"up":true}'), "up is true, expected 1"),
        (http(json={"up": "true"}), Page(200, '{"up":true}'), 'up is true, expected "true"'),
        (http(json={"up": "UP"}), Page(200, '{"up":null}'), 'up is null, expected "UP"'),
        (http(json={"a.b": "x"}), Page(200, '{"a":{}}'), "the reply has no a.b"),
        (http(json={"a.0": "x"}), Page(200, '{"a":[]}'), "the reply has no a.0"),
        (http(json={"a": "x"}), Page(200, "<html>"), "the reply is not JSON: '<html>'"),
        (http(json={"a": "x"}), Page(200, '{"a": "x"'), 'the reply is not JSON: \'{"a": "x"\''),
        (http(json={"a": "x"}), Page(200, "[" * 100_000), "the reply is not JSON: '" + "[" * 40 + "'"),
    ],
)
def test_pages_that_are_not(settings: HttpHealth, page: Page, problem: str) -> None:
    assert judge(settings, page) == problem


@given(st.integers(100, 999), st.text())
def test_no_page_makes_it_crash(status: int, body: str) -> None:
    settings = http(status=200, json={"a.b": "UP"})
    assert isinstance(judge(settings, Page(status, body)), str)


@pytest.mark.parametrize(
    ("settings", "body", "version"),
    [
        (http(version_json="version"), '{"version":"1.5.0"}', "1.5.0"),
        (http(version_json="build.version"), '{"build":{"version":"1.5.0"}}', "1.5.0"),
        (http(version_json="build.version"), '{"build.version":"1.5.0"}', "1.5.0"),
        (
            http(version_json="build.version"),
            '{"build":{"version":"1.4.2"},"build.version":"1.5.0"}',
            "1.5.0",
        ),
        (http(version_json="a.b.c"), '{"a":{"b.c":"1.5.0"}}', "1.5.0"),
        (http(version_json="a.b.c"), '{"a.b":{"c":"1.5.0"},"a":{"b":{"c":"1.4.2"}}}', "1.5.0"),
        (http(version_json="a.b.c"), '{"a.b":{"d":"x"},"a":{"b":{"c":"1.5.0"}}}', "1.5.0"),
        (http(version_json="a.0.b.c"), '{"a":[{"b.c":"1.5.0"}]}', "1.5.0"),
        (http(version_json="v", version_pattern=r"^v(.+)$"), '{"v":"v1.5.0"}', "1.5.0"),
        (http(version_pattern=r"version (\S+)"), "Shop\nversion 1.5.0\n", "1.5.0"),
        (http(version_url="http://x/version"), "1.5.0\n", "1.5.0"),
        (http(version_json="v"), '{"v":15}', "15"),
    ],
)
def test_the_running_version(settings: HttpHealth, body: str, version: str) -> None:
    assert version_of(settings, Page(200, body)) == version


@pytest.mark.parametrize(
    ("settings", "body", "problem"),
    [
        (http(version_json="version"), "{}", "the reply has no version"),
        (http(version_json="version"), '{"version":null}', "version is null"),
        (http(version_json="version"), '{"version":""}', "nothing found by 'version'"),
        (http(version_pattern="v(.)"), "x", r"nothing found by 'v\(\.\)'"),
        (http(version_url="http://x/"), " \n", "an empty page"),
    ],
)
def test_a_version_that_is_not_there_is_not_a_pass(settings: HttpHealth, body: str, problem: str) -> None:
    with pytest.raises(UnreadableReply, match=problem):
        version_of(settings, Page(200, body))


async def look(settings: HttpHealth, pages: dict[str, Page]) -> HealthResult:
    async def fetch(url: str) -> Page:
        return pages[url]

    return await HttpCheck(settings, VALUES, fetch).check()


async def test_health_and_version_from_two_pages() -> None:
    settings = http(json={"status": "UP"}, version_url="http://{address}/v", version_json="v")
    health = Page(200, '{"status":"UP"}')
    good = {"http://127.0.0.1:8080/health": health, "http://127.0.0.1/v": Page(200, '{"v":"1.5"}')}
    assert await look(settings, good) == HealthResult(True, "200 OK", "1.5")
    bad = {**good, "http://127.0.0.1/v": Page(404, "")}
    expected = HealthResult(False, "version: 404 Not Found, expected 200")
    assert await look(settings, bad) == expected


async def test_a_version_is_read_from_its_page_alone() -> None:
    page, pages = "http://127.0.0.1/v", dict[str, Page]()

    async def fetch(url: str) -> Page:
        return pages[url]

    apart = HttpCheck(http(json={"status": "UP"}, version_url=page, version_json="v"), VALUES, fetch)
    for status, body, version in ((200, '{"v":"1.5"}', "1.5"), (200, "{}", None), (404, '{"v":"1"}', None)):
        pages[page] = Page(status, body)
        assert await apart.read_version() == version
    together = HttpCheck(http(version_json="v"), VALUES, fetch)
    pages["http://127.0.0.1:8080/health"] = Page(200, '{"v":"1.5"}')
    assert await together.read_version() == "1.5"


async def test_an_application_cannot_speak_to_the_terminal() -> None:
    page = Page(200, '{"status":"\\u001b]0;x\\u0007\\u202eDOWN\\nfor you"}')
    settings = http(json={"status": "UP"})
    result = await look(settings, {"http://127.0.0.1:8080/health": page})
    assert result == HealthResult(False, "status is ]0;x DOWN for you, expected UP")


@given(st.text())
def test_words_for_the_operator_are_one_printable_line(text: str) -> None:
    line = printable(text)
    assert line.isprintable()
    assert len(line) <= MAX_DETAIL_CHARS


CURL = (
    "curl -q -g -sS --noproxy '*' --proto =http,https --max-time 5 --max-filesize 1048576"
    " --user-agent rolldeck {} --write-out '\\n%{{http_code}}' --url 'http://[::1]:8080/health'"
)


@pytest.mark.parametrize(
    ("settings", "options"),
    [
        (http(check_from="node"), ""),
        (
            http(check_from="node", headers={"Host": "shop.example.com", "X": "a b"}),
            "--header 'Host: shop.example.com' --header 'X: a b'",
        ),
        (http(check_from="node", follow_redirects=True), "--location --max-redirs 5"),
        (http(check_from="node", verify_tls=False), "--insecure"),
        (http(check_from="node", ca_file="/etc/ca.pem"), "--cacert /etc/ca.pem"),
    ],
)
def test_curl(settings: HttpHealth, options: str) -> None:
    expected = Command(tuple(shlex.split(CURL.format(options))))
    assert curl(settings, "http://[::1]:8080/health") == expected


async def via_node(answer: Answer, **settings: Any) -> tuple[HealthResult, ScriptedHost]:
    host = ScriptedHost(lambda _: answer)
    checks = HealthCheckFactory(http(check_from="node", **settings), "apps.shop.health", ScriptedHost())
    return await checks.create(host, VALUES).check(), host


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        (Answer("UP\n200"), HealthResult(True, "200 OK")),
        (Answer("\n503"), HealthResult(False, "HTTP 503 Service Unavailable, expected 200")),
        (Answer("", "curl: (28) Operation timed out", 28), HealthResult(False, "timed out after 5 s")),
        (
            Answer("", "curl: (7) Failed to connect to 127.0.0.1 port 8080", 7),
            HealthResult(False, "Failed to connect to 127.0.0.1 port 8080"),
        ),
        (
            Answer("x\n000", "curl: (63) ...", 63),
            HealthResult(False, "the reply is longer than 1,048,576 bytes"),
        ),
        (Answer("x", truncated=True), HealthResult(False, "the reply is longer than 1,048,576 bytes")),
        (Answer("", "curl: not found", 127), HealthResult(False, "curl: not found")),
        (Answer("OK"), HealthResult(False, "curl did not say the status of the reply")),
    ],
)
async def test_what_curl_says(answer: Answer, result: HealthResult) -> None:
    seen, host = await via_node(answer)
    assert seen == result
    assert host.recorded == []
    assert host.timeouts == [10.0]


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"kind": "http", "url": "ftp://x/"}, r"expected http\(s\)://HOST/"),
        ({"kind": "http", "url": "http://user:pass@x/"}, r"expected http\(s\)://HOST/"),
        ({"kind": "http", "url": "http://x/ y"}, r"expected http\(s\)://HOST/"),
        ({"kind": "http", "url": URL, "version_url": "x"}, r"expected http\(s\)://HOST/"),
        ({"kind": "http", "url": URL, "body": "("}, "not a regular expression"),
        ({"kind": "http", "url": URL, "version_pattern": "v"}, "0 groups"),
        ({"kind": "http", "url": URL, "json": {"a": [1]}}, r"json\.a: expected"),
        ({"kind": "http", "url": URL, "headers": {"authorization": "x"}}, "is a secret"),
        ({"kind": "http", "url": URL, "headers": {"X": "a\r\nY: b"}}, "printable"),
        ({"kind": "http", "url": URL, "headers": {"@file": "a"}}, "is not a header"),
        ({"kind": "http", "url": URL, "username": "joe"}, "`username` without"),
        (
            {"kind": "http", "url": URL, "check_from": "node", "password_env": "X"},
            "cannot be used with a password",
        ),
        ({"kind": "http", "url": URL, "verify_tls": False, "ca_file": "x"}, "keep one"),
        ({"kind": "http", "url": URL, "timeout": 0}, "timeout: found 0, expected more than 0"),
        ({"kind": "tcp", "successes": 0}, "successes: found 0, expected at least 1"),
        ({"kind": "command", "run": "x", "check_from": "here"}, "Invalid enum value 'here'"),
    ],
)
def test_configuration_that_is_refused(settings: object, problem: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=problem):
        msgspec.convert(settings, HealthSettings)
