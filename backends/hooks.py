"""Hooks: commands and URLs of the operator's that are informed of a rollout, and may object to it.

A hook that is a command reads JSON on its standard input and objects by its exit status. One that is a URL
receives the JSON in a POST, and objects by any status but 2xx.
"""

import asyncio
import contextlib
import os
import re
import tempfile
import time
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, field
from typing import IO, Any, Literal, Protocol
from urllib.parse import urlsplit

import msgspec

from backends.command import log_exchange
from backends.errors import Refused, UnknownOutcome, Unreachable
from backends.http_common import (
    UNENCODED,
    USER_AGENT,
    authorization_header,
    format_http_error,
    load_authorities,
    make_empty_cookies,
)
from backends.local_machine import base_environment, check_names, own_session
from backends.secrets import load_secret
from backends.untrusted import check_authority


class Hook(Protocol):
    """A command or URL of the operator's that is informed of a rollout, and may object."""

    @property
    def name(self) -> str:
        """Name for people, without secrets."""

    @property
    def on(self) -> Collection[str]:
        """The names of the moments at which the hook is called."""

    @property
    def stops(self) -> bool:
        """Whether the rollout stops when the hook fails."""

    async def fire(self, payload: bytes) -> None:
        """Call the hook with one JSON object. Cancelling ends the hook with all that it has started.

        Raises:
            BackendError: it could not be called, did not answer in time, or answered no.
            ConfigError: the secret that it needs cannot be read.
        """


_URL = re.compile(r"https?://[^\s/@\x00-\x1f]+(/[^\s\x00-\x1f]*)?")


class HookSettings(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """One `[[hooks]]` table.

    Attributes:
        events: the moments at which the hook is called; at least one.
        command: a command that /bin/sh runs on this machine, with the JSON on its standard input.
        url: a URL to which the JSON is posted.
        token_env, token_file, token_command: where the bearer token for `url` is; at most one.
        env: names of variables that the command gets besides a few; see `backends.local_machine`.
        timeout: seconds for one call.
        on_failure: "stop" stops the rollout when the hook fails.
    """

    events: list[str]
    command: str = ""
    url: str = ""
    token_env: str = ""
    token_file: str = ""
    token_command: str = ""
    env: list[str] = []
    timeout: float = 10.0
    on_failure: Literal["ignore", "stop"] = "ignore"

    def __post_init__(self) -> None:
        if not self.events:
            raise ValueError("events: found an empty list, expected at least one moment")
        if bool(self.command.strip()) == bool(self.url):
            raise ValueError("expected exactly one of `command` and `url`")
        if self.url and not _is_url(self.url):
            # The URL is not shown: many chat services have a secret in theirs.
            raise ValueError("url: expected http(s)://HOST/..., without user")
        tokens = [source for source in (self.token_env, self.token_file, self.token_command) if source]
        if tokens and not self.url:
            raise ValueError("a token is only for `url`")
        if len(tokens) > 1:
            raise ValueError("expected at most one of `token_env`, `token_file` and `token_command`")
        if self.env and not self.command:
            raise ValueError("env is only for `command`")
        check_names(self.env)
        if not 0 < self.timeout <= 3600:
            raise ValueError(f"timeout: found {self.timeout:g}, expected 3600 seconds or less, above 0")


def _is_url(text: str) -> bool:
    try:
        check_authority(urlsplit(text))
    except ValueError:
        return False
    return _URL.fullmatch(text) is not None


def make_hook(settings: HookSettings, what: str) -> Hook:
    """Make the adapter of one hook.

    Args:
        settings: the settings of the hook.
        what: their path in the configuration, such as ``apps.shop.hooks.0``, by which people know the hook.
    """
    if settings.command:
        return CommandHook(f"{what} (command)", settings)
    return WebHook(f"{what} ({urlsplit(settings.url).hostname})", settings, what)


@dataclass(frozen=True, slots=True)
class _ConfiguredHook:
    """What both implementations of `Hook` have in common.

    Attributes:
        name: for people, without the URL, as many chat services have a secret in theirs.
        settings: those of the hook.
    """

    name: str
    settings: HookSettings = field(repr=False)

    @property
    def on(self) -> Collection[str]:
        return self.settings.events

    @property
    def stops(self) -> bool:
        return self.settings.on_failure == "stop"


MAX_ERROR_BYTES = 400  # of the end of its standard error
LINGER_S = 0.2  # how long its last output may take to arrive after its exit
MIN_REDACTED_CHARS = 6  # shorter values of variables are parts of many words

_VARIABLES = ("moment", "application", "version", "rollout", "node", "result")


@dataclass(frozen=True, slots=True)
class CommandHook(_ConfiguredHook):
    """A hook that is a command for /bin/sh; exit status 0 means that it does not object.

    After the time-out it is killed with its children.
    """

    async def fire(self, payload: bytes) -> None:
        """See `Hook.fire`: Unreachable, UnknownOutcome (its time was over), Refused."""
        try:
            # A file instead of a pipe: a command that never reads its standard input blocks nobody.
            with tempfile.TemporaryFile() as stdin:
                stdin.write(payload + b"\n")
                stdin.seek(0)
                async with _error_pipe() as (reader, stderr):
                    await self._run(stdin, reader, stderr, variables(payload))
        except OSError as error:
            raise Unreachable(self.name, f"cannot be started: {error.strerror}") from error

    async def _run(
        self, stdin: IO[bytes], reader: "_LastLine", stderr: IO[bytes], values: dict[str, str]
    ) -> None:
        options: dict[str, Any] = {
            "stdin": stdin,
            "stdout": asyncio.subprocess.DEVNULL,
            "stderr": stderr,
            "env": base_environment(self.settings.env) | values,
        }
        async with own_session("/bin/sh", "-c", self.settings.command, **options) as process:
            stderr.close()
            try:
                async with asyncio.timeout(self.settings.timeout):
                    status = await process.wait()
            except TimeoutError:
                problem = f"did not end within {self.settings.timeout:g} s, and was killed"
                raise UnknownOutcome(self.name, problem) from None
        if status:
            reason = self._without_values(await reader.last())
            raise Refused(self.name, f"exit status {status}" + (f": {reason}" if reason else ""))

    def _without_values(self, text: str) -> str:
        """Redact the values of the variables, which are most likely tokens, for the journal."""
        for name in self.settings.env:
            if len(value := os.environ.get(name, "")) >= MIN_REDACTED_CHARS:
                text = text.replace(value, "***")
        return text


def variables(payload: bytes) -> dict[str, str]:
    """Return fields of the payload as variables: ROLLDECK_MOMENT and so on, without empty ones."""
    try:
        fields = msgspec.json.decode(payload, type=dict[str, Any])
    except msgspec.MsgspecError:
        return {}
    values = {f"ROLLDECK_{name.upper()}": str(fields.get(name) or "") for name in _VARIABLES}
    return {name: value for name, value in values.items() if value and "\0" not in value}


class _LastLine(asyncio.Protocol):
    """Keeps the end of a command's standard error."""

    def __init__(self) -> None:
        self._end = b""
        self._ended = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        self._end = (self._end + data)[-MAX_ERROR_BYTES:]

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended.set()

    async def last(self) -> str:
        """Return the last line. A process left in the background may never close the pipe."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER_S):
                await self._ended.wait()
        lines = self._end.decode(errors="replace").strip().splitlines()
        return lines[-1].strip() if lines else ""


@contextlib.asynccontextmanager
async def _error_pipe() -> AsyncIterator[tuple[_LastLine, IO[bytes]]]:
    """Open a pipe: with one of asyncio's, `wait` would wait for every process that holds it.

    Yields the reader, and the end for the command, which is closed here once the command has it.
    """
    read_end, write_end = (os.fdopen(end, mode, 0) for end, mode in zip(os.pipe(), ("rb", "wb"), strict=True))
    with write_end:
        transport, reader = await asyncio.get_running_loop().connect_read_pipe(_LastLine, read_end)
        try:
            yield reader, write_end
        finally:
            transport.close()


@dataclass(frozen=True, slots=True)
class WebHook(_ConfiguredHook):
    """A hook that is a URL; the time-out bounds the whole exchange.

    The body of the response is not read: it may contain anything, even the token of the request. A redirect
    is not followed, since the token would go to a server that nobody has configured.

    Attributes:
        what: its path in the configuration, for errors.
    """

    what: str

    async def fire(self, payload: bytes) -> None:
        """See `Hook.fire`: Unreachable, UnknownOutcome (no answer in time), Refused."""
        import httpx

        headers = {"User-Agent": USER_AGENT, "Content-Type": "application/json", **UNENCODED}
        settings, timeout = self.settings, self.settings.timeout
        sources = (settings.token_env, settings.token_file, settings.token_command)
        token = await load_secret(*sources, f"{self.what}.token")
        if token is not None:
            headers["Authorization"] = authorization_header(token, f"{self.what}.token")
        tls = await asyncio.to_thread(load_authorities)
        started, status = time.monotonic(), 0
        try:
            async with (
                asyncio.timeout(timeout),
                # Unlike a node, the server may well be behind the proxy that the environment names.
                httpx.AsyncClient(
                    headers=headers,
                    cookies=make_empty_cookies(),
                    follow_redirects=False,
                    timeout=timeout,
                    verify=tls,
                ) as client,
                client.stream("POST", settings.url, content=payload) as reply,
            ):
                status = reply.status_code
        except (TimeoutError, httpx.TimeoutException):
            raise UnknownOutcome(self.name, f"timed out after {timeout:g} s") from None
        except Exception as error:  # httpx does not wrap all errors
            raise Unreachable(self.name, format_http_error(error)) from None
        finally:
            body = payload.decode(errors="replace")
            log_exchange(
                self.name, f"POST {body}", str(status), 200 <= status < 300, time.monotonic() - started
            )
        if not 200 <= status < 300:
            redirect = ", and redirects are not followed" if 300 <= status < 400 else ""
            raise Refused(self.name, f"HTTP {status}, expected 2xx{redirect}")
