"""Health checks over HTTP: their settings, and the evaluation of a reply."""

import http
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from backends.errors import BackendError, UnreadableReply
from backends.health.checks import HealthKind, healthy, printable, unhealthy
from backends.node_state import HealthResult
from backends.templates import NodeText, fill_url
from backends.untrusted import check_pattern, search

_URL = re.compile(r"https?://[^\s/@\x00-\x1f]+(/[^\s\x00-\x1f]*)?")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_SECRET_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie"})

Scalar = str | int | float | bool


class HttpHealth(HealthKind, kw_only=True, frozen=True, tag="http"):
    """A page that has to be as expected, and perhaps one with the running version.

    Attributes:
        url: template, such as ``http://{address}:{port}/health``.
        check_from: where the request is sent: `console` from here, `node` by its own curl.
        status: expected status, or several.
        body: regular expression that has to be found in the body.
        json: expected values by their dotted path, such as ``{"components.db.status" = "UP"}``.
        version_url: template of the page with the running version; default: the same page.
        version_json: dotted path of the version, or a key with dots in it; without it the text of the page is
            the version.
        version_pattern: regular expression with one group that finds the version in that text.
        headers: sent along; not for secrets.
        follow_redirects: up to five; without it a redirect is a status like any other.
        verify_tls: False accepts any certificate.
        ca_file: certificates to trust instead of the system's; on the machine that sends the request.
        username: for basic authentication; without it a password is sent as a bearer token.
        password_env, password_file, password_command: where the password is; at most one.
    """

    url: NodeText
    check_from: Literal["console", "node"] = "console"
    status: int | tuple[int, ...] = 200
    body: str = ""
    json: dict[str, Any] = msgspec.field(default_factory=dict)
    version_url: NodeText = ""
    version_json: str = ""
    version_pattern: str = ""
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    follow_redirects: bool = False
    verify_tls: bool = True
    ca_file: str = ""
    username: str = ""
    password_env: str = ""
    password_file: str = ""
    password_command: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, value in self.headers.items():
            _check_header(name, value)
        list(self.expected())
        check_pattern(self.version_pattern)
        _check_regex(self.body)
        if self.ca_file and not self.verify_tls:
            raise ValueError("`ca_file` has no effect with `verify_tls = false`; keep one")
        self._check_authentication()
        for name, url in (("version_url", self.version_url), ("url", self.url)):
            if (url or name == "url") and not _URL.fullmatch(url):
                raise ValueError(f"{name}: found {url!r}, expected http(s)://HOST/..., without user")

    def _check_authentication(self) -> None:
        if self.username and not self.has_secret:
            raise ValueError("`username` without password_env, password_file or password_command")
        if self.has_secret and self.check_from == "node":
            raise ValueError(
                '`check_from = "node"` cannot be used with a password: it would be seen in the process'
                ' list of the node; use `check_from = "console"` or a `kind = "command"` check'
            )

    @property
    def has_secret(self) -> bool:
        return bool(self.password_env or self.password_file or self.password_command)

    @property
    def statuses(self) -> tuple[int, ...]:
        return (self.status,) if isinstance(self.status, int) else self.status

    @property
    def has_version(self) -> bool:
        return bool(self.version_url or self.version_json or self.version_pattern)

    @property
    def reports_version(self) -> bool:
        """See `HealthKind`."""
        return self.has_version and self.check_from == "console"

    def expected(self) -> Iterator[tuple[str, Scalar]]:
        """Yield dotted paths with their values; tables in TOML are paths as well."""
        yield from _flatten(self.json, "")


@dataclass(frozen=True, slots=True)
class Page:
    """A reply, whatever its status."""

    status: int
    body: str


Fetch = Callable[[str], Awaitable[Page]]
"""Gets a URL. Raises BackendError with what went wrong in words."""


@dataclass(frozen=True, slots=True)
class HttpCheck:
    """A HealthCheck by HTTP."""

    settings: HttpHealth
    values: Mapping[str, str]
    fetch: Fetch

    async def check(self) -> HealthResult:
        try:
            page = await self._read_page(self.settings.url)
            problem = judge(self.settings, page)
            if problem:
                return unhealthy(problem)
            return healthy(_describe_status(page.status), await self._read_version(page))
        except BackendError as error:
            return unhealthy(error.problem)

    async def read_version(self) -> str | None:
        """See `HealthCheck`. One page is read, and not two as in a check."""
        if not self.settings.version_url:
            return (await self.check()).version
        try:
            return printable(await self._read_version_page())
        except BackendError:
            return None

    async def _read_version(self, page: Page) -> str | None:
        if not self.settings.has_version:
            return None
        if self.settings.version_url:
            return await self._read_version_page()
        return version_of(self.settings, page)

    async def _read_version_page(self) -> str:
        page = await self._read_page(self.settings.version_url)
        if page.status != http.HTTPStatus.OK:
            raise UnreadableReply("", f"version: {_describe_status(page.status)}, expected 200")
        return version_of(self.settings, page)

    async def _read_page(self, url: str) -> Page:
        return await self.fetch(fill_url(url, self.values))


def judge(settings: HttpHealth, page: Page) -> str:
    """Return why the page is not as expected, in words; empty when it is."""
    if page.status not in settings.statuses:
        expected = " or ".join(map(str, settings.statuses))
        return f"HTTP {_describe_status(page.status)}, expected {expected}"
    wanted = list(settings.expected())
    try:
        if settings.body and not search(settings.body, page.body):
            return f"the body does not match {settings.body!r}"
        if not wanted:
            return ""
        document = _decode_page(page)
        wrong = (_find_difference(document, path, value) for path, value in wanted)
        return next(filter(None, wrong), "")
    except UnreadableReply as error:
        return error.problem


def version_of(settings: HttpHealth, page: Page) -> str:
    """Read the running version from its page. Raises UnreadableReply: an unknown version never passes."""
    text = page.body.strip()
    if settings.version_json:
        found = _find(_decode_page(page), settings.version_json)
        if not isinstance(found, str | int | float):
            raise UnreadableReply("", f"version: {settings.version_json} is {_to_json(found)}")
        text = str(found)
    if settings.version_pattern:
        match = search(settings.version_pattern, text, re.MULTILINE)
        text = (match[1] or "") if match else ""
    if not text:
        where = settings.version_pattern or settings.version_json or "an empty page"
        raise UnreadableReply("", f"version: nothing found by {where!r}")
    return text


def _find_difference(document: object, path: str, expected: Scalar) -> str:
    found = _find(document, path)
    same = found == expected and isinstance(found, bool) is isinstance(expected, bool)
    if same:
        return ""
    # Quotes only where they distinguish the text "1" from the number.
    show = str if isinstance(found, str) and isinstance(expected, str) else _to_json
    return f"{path} is {show(found)}, expected {show(expected)}"


def _find(document: object, path: str) -> object:
    """Return the value at a dotted path; numbers are positions in lists. Raises UnreadableReply without one.

    A key with dots in it wins where there is one: Spring and others write ``"build.version"``.
    """
    for value in _find_values(document, path.split(".")):
        return value
    raise UnreadableReply("", f"the reply has no {path}")


def _find_values(document: object, parts: Sequence[str]) -> Iterator[object]:
    """Yield what the parts lead to, the longest keys first; no part of the document is read twice."""
    if not parts:
        yield document
    elif isinstance(document, dict):
        for end in range(len(parts), 0, -1):
            key = ".".join(parts[:end])
            if key in document:
                yield from _find_values(document[key], parts[end:])
    elif isinstance(document, list) and parts[0].isdecimal() and int(parts[0]) < len(document):
        yield from _find_values(document[int(parts[0])], parts[1:])


def _decode_page(page: Page) -> object:
    try:
        return msgspec.json.decode(page.body)
    except (msgspec.DecodeError, RecursionError):
        start = page.body[:40]
        raise UnreadableReply("", f"the reply is not JSON: {start!r}") from None


def _to_json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _describe_status(status: int) -> str:
    try:
        return f"{status} {http.HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _flatten(table: Mapping[str, Any], before: str) -> Iterator[tuple[str, Scalar]]:
    for key, value in table.items():
        path = f"{before}{key}"
        if isinstance(value, dict):
            yield from _flatten(value, f"{path}.")
        elif isinstance(value, str | int | float):
            yield path, value
        else:
            raise ValueError(f"json.{path}: expected a text, a number, true or false")


def _check_header(name: str, value: str) -> None:
    if not _HEADER.fullmatch(name) or not value.isprintable():
        raise ValueError(f"headers: {name!r} is not a header with a printable value")
    if name.lower() in _SECRET_HEADERS:
        raise ValueError(f"headers: {name} is a secret; use password_env, _file or _command")


def _check_regex(pattern: str) -> None:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"{pattern!r} is not a regular expression: {error}") from None
