"""The settings of a hook, and the adapter that they choose: a command or a URL."""

import re
from typing import Literal
from urllib.parse import urlsplit

import msgspec

from backends.hooks.command import CommandHook
from backends.hooks.common import Hook, Moment
from backends.hooks.webhook import WebHook
from backends.inert import check_authority
from backends.local_process import check_names

_URL = re.compile(r"https?://[^\s/@\x00-\x1f]+(/[^\s\x00-\x1f]*)?")


class HookSettings(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """One `[[hooks]]` table.

    Attributes:
        events: the moments at which the hook is called; at least one.
        command: a command that /bin/sh runs on this machine, with the JSON on its standard input.
        url: a URL to which the JSON is posted.
        token_env, token_file, token_command: where the bearer token for `url` is; at most one.
        env: names of variables that the command gets besides a few; see `backends.local_process`.
        timeout: seconds for one call.
        on_failure: "stop" stops the rollout when the hook fails.
    """

    events: list[Moment]
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
    on, stops = frozenset(settings.events), settings.on_failure == "stop"
    if settings.command:
        return CommandHook(f"{what} (command)", on, stops, settings.command, settings.timeout, settings.env)
    return WebHook(
        name=f"{what} ({urlsplit(settings.url).hostname})",
        on=on,
        stops=stops,
        url=settings.url,
        timeout=settings.timeout,
        what=what,
        token_env=settings.token_env,
        token_file=settings.token_file,
        token_command=settings.token_command,
    )
