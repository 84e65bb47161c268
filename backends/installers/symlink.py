"""Releases side by side in one directory, and a link to the one that is in use."""

import posixpath
import shlex
from collections.abc import Mapping

from backends.installers.recipe import Recipe
from backends.model import Command
from backends.template import fill, fill_plain


class SymlinkInstall(Recipe, kw_only=True, frozen=True, tag="symlink"):
    """Points the link to the release's directory, atomically.

    Attributes:
        releases: directory that holds one directory for each version.
        link: the link, such as ``/opt/shop/current``; never a directory.
        prefetch: template of a shell command that brings `{version}` into `releases`. Let it copy
            under another name and rename at the end: half a release looks like a whole one.
    """

    releases: str
    link: str
    prefetch: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if posixpath.isabs(self.link) and not posixpath.isabs(self.releases):
            raise ValueError("`releases` has to be an absolute path when `link` is one")

    def install_commands(self, values: Mapping[str, str]) -> tuple[Command, ...]:
        release = posixpath.join(fill_plain(self.releases, values), values["version"])
        return (Command.shell(switch(release, fill_plain(self.link, values))),)

    def prefetch_commands(self, values: Mapping[str, str]) -> tuple[Command, ...]:
        return (Command.shell(fill(self.prefetch, values)),) if self.prefetch else ()


def switch(release: str, link: str) -> str:
    """A shell script that lets the link point to the release, if that exists.

    rename(2) replaces the link in one step, so that there is never a moment without one; `mv -T`
    refuses to move the new link *into* a directory, should one stand in the link's place.
    """
    new = shlex.quote(f"{link}.rolldeck-new")
    return (
        f"[ -d {shlex.quote(release)} ] || "
        f"{{ echo {shlex.quote(f'no such release: {release}')} >&2; exit 1; }}; "
        f"ln -sfn -- {shlex.quote(_target(release, link))} {new} && "
        f"mv -fT -- {new} {shlex.quote(link)}"
    )


def _target(release: str, link: str) -> str:
    """What the link has to say: a relative path is read from the link's own directory."""
    if posixpath.isabs(release) or posixpath.isabs(link):
        return release
    return posixpath.relpath(release, posixpath.dirname(link) or ".")
