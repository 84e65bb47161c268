"""The settings of a hook, and the two kinds that there are: a command or a URL."""

import re
from typing import Literal
from urllib.parse import urlsplit

import msgspec

from backends.hooks.command import CommandHook
from backends.hooks.webhook import WebHook
from backends.inert import check_authority
from backends.local_process import check_names
from backends.protocols import Hook, Moment

_URL = re.compile(r"https?://[^\s/@\x00-\x1f]+(/[^\s\x00-\x1f]*)?")


class HookSettings(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """One `[[hooks]]` table.

    Attributes:
        events: of which it is told; at least one moment.
        command: run here by /bin/sh, with the JSON on its standard input.
        url: where the JSON is posted to.
        token_env, token_file, token_command: where the bearer token for `url` is; at most one.
        env: names of variables that the command gets besides a few; see `backends.local_process`.
        timeout: seconds.
        on_failure: "stop" stops the rollout when it fails.
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
            # Not shown: many chat services have a secret in theirs.
            raise ValueError("url: expected http(s)://HOST/..., without user")
        tokens = [each for each in (self.token_env, self.token_file, self.token_command) if each]
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
    """The adapter.

    Args:
        settings: of one hook.
        what: their place in the configuration, such as ``apps.shop.hooks.0``; people know it by that.
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
