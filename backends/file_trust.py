"""A check whether anybody but this user and root may write or replace a file, like OpenSSH's StrictModes.

There is no race: each folder on the path is opened from its parent and checked through its descriptor, and a
file is read from the descriptor that was checked.
"""

import errno
import functools
import grp
import os
import pwd
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

# Without O_PATH a folder on the way would have to be readable.
_FOLDER = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC  # opening a fifo does not wait
_MAX_SYMLINKS = 40  # on one way, as in Linux
_ACL = "system.posix_acl_access"


class Untrusted(OSError):
    """A file that somebody may have written who is not allowed to.

    Attributes:
        strerror: the file, or the folder or link on the way to it that is the reason; whose it is, its mode,
            and what was expected.
    """

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(errno.EPERM, f"{path} {problem}")

    def __str__(self) -> str:
        return str(self.strerror)


@dataclass(frozen=True, slots=True)
class Writers:
    """Who may write a file, and may replace it in the folders on the way.

    A group that is its owner's own (it has the owner's name and no other member) counts as the owner.

    Attributes:
        users: who may own them; None: anybody.
        groups: whose members may write them; None: any group's.
        everybody: whether everybody may.
    """

    users: frozenset[int] | None
    groups: frozenset[int] | None = frozenset()
    everybody: bool = False

    @classmethod
    def own(cls) -> "Writers":
        """Return root and this user. Under sudo that is root alone, and not the user who called sudo."""
        return cls(frozenset((0, os.geteuid())))

    @classmethod
    def also_of(cls, info: os.stat_result) -> "Writers":
        """Return root, this user, and those who may write this file."""
        groups = frozenset((info.st_gid,)) if info.st_mode & stat.S_IWGRP else frozenset[int]()
        return cls(frozenset((0, os.geteuid(), info.st_uid)), groups, bool(info.st_mode & stat.S_IWOTH))


NAMED = Writers(None, None)
"""The writers of a file that somebody chose by its name and that brings no commands: any owner and group."""


def open_trusted(path: Path, writers: Writers) -> int:
    """Open a regular file for reading, when nobody else may write it, its folder, or replace one on the way.

    A link is followed when it may be trusted itself. The folder that the file lies in must be closed to
    others even if it is sticky: anybody could put a file there in which we would look for ours.

    Returns:
        The descriptor, which the caller closes.

    Raises:
        Untrusted: somebody else may write it.
        OSError: it cannot be opened.
    """
    file, where = _walk(path, writers, _FILE)
    try:
        info = os.fstat(file)
        if stat.S_ISDIR(info.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), where)
        if not stat.S_ISREG(info.st_mode):
            raise Untrusted(where, "is not a regular file")
        _check(info, where, writers, file)
    except BaseException:
        os.close(file)
        raise
    return file


def open_own_folder(path: Path) -> int:
    """Open a folder for what Rolldeck writes: ours or root's, no link, and not writable by everybody.

    In a team's folder a member's will do. On the way nobody but owners and groups may replace anything.

    Returns:
        The descriptor, which the caller closes.

    Raises:
        Untrusted: it is somebody else's, or everybody may write it.
        OSError: it is not there, or cannot be opened.
    """
    folder, where = _walk(path, NAMED, _FOLDER, follow=False, in_sticky=True)
    try:
        own = Writers.own().users
        info, above = os.fstat(folder), os.stat("..", dir_fd=folder)
        members = is_teams(info) and is_teams(above) and info.st_gid == above.st_gid
        _check(info, where, Writers(own and own | {info.st_uid} if members else own, None), folder)
    except BaseException:
        os.close(folder)
        raise
    return folder


def is_teams(folder: os.stat_result) -> bool:
    """Return whether a folder is a team's: its group may write it, and it hands that group on (mode 2770)."""
    return bool(folder.st_mode & stat.S_IWGRP and folder.st_mode & stat.S_ISGID)


def describe_owner(info: os.stat_result) -> str:
    """Describe the owner and the mode of a file, for an error."""
    return f"of {_describe_user(info.st_uid)}, mode {stat.S_IMODE(info.st_mode):04o}"


def find_owner_problem(info: os.stat_result, users: frozenset[int]) -> str:
    """Return what is wrong with a file's owner; empty when nothing is."""
    if info.st_uid in users:
        return ""
    names = " or ".join(_describe_user(user) for user in sorted(users))
    return (
        f"belongs to {_describe_user(info.st_uid)} (mode {stat.S_IMODE(info.st_mode):04o}), expected {names}"
    )


def _walk(
    path: Path, writers: Writers, flags: int, *, follow: bool = True, in_sticky: bool = False
) -> tuple[int, str]:
    """Open what is at the end of a path, and return its descriptor and its path without links."""
    ahead = list(reversed(path.absolute().parts[1:]))  # the next name is the last one
    if not ahead:
        return os.open("/", flags), "/"
    folder, where, links = os.open("/", _FOLDER), "/", 0
    try:
        while True:
            name = ahead.pop()
            _check_on_the_way(folder, where, writers, in_sticky=bool(ahead) or in_sticky)
            here = os.path.normpath(os.path.join(where, name))
            target = _read_link(name, folder)
            if target is None:
                if not ahead:
                    return os.open(name, flags, dir_fd=folder), here
                folder, where = _replace(folder, os.open(name, _FOLDER, dir_fd=folder)), here
                continue
            if not ahead and not follow:
                raise Untrusted(here, "is a symbolic link, expected the folder itself")
            links += 1
            if links > _MAX_SYMLINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), here)
            if writers.users is not None:
                _check_owner(os.stat(name, dir_fd=folder, follow_symlinks=False), here, writers.users)
            if os.path.isabs(target):
                folder, where = _replace(folder, os.open("/", _FOLDER)), "/"
            ahead += reversed(_split_target(target))
    finally:
        os.close(folder)


def _check_on_the_way(folder: int, where: str, writers: Writers, *, in_sticky: bool) -> None:
    """Check a folder that is passed through; of a sticky one, where that will do, only the owner."""
    info = os.fstat(folder)
    if not (in_sticky and _is_sticky(info)):
        _check(info, where, writers, folder)
    elif writers.users is not None:
        _check_owner(info, where, writers.users)


def _replace(old: int, new: int) -> int:
    os.close(old)
    return new


def _split_target(target: str) -> Sequence[str]:
    path = Path(target)
    return path.parts[1:] if path.is_absolute() else path.parts


def _read_link(name: str, folder: int) -> str | None:
    """Return where a link leads; None for what is no link."""
    try:
        return os.readlink(name, dir_fd=folder)
    except OSError as error:
        if error.errno == errno.EINVAL:
            return None
        raise


def _is_sticky(info: os.stat_result) -> bool:
    """Return whether a folder is sticky: only its owner and the owner of a file can replace that file."""
    return bool(info.st_mode & stat.S_ISVTX)


def _check(info: os.stat_result, where: str, writers: Writers, file: int) -> None:
    if writers.users is not None:
        _check_owner(info, where, writers.users)
    if info.st_mode & stat.S_IWOTH and not writers.everybody:
        raise Untrusted(where, f"can be written by everybody ({describe_owner(info)})")
    known = writers.groups is None or info.st_gid in writers.groups
    if info.st_mode & stat.S_IWGRP and not known and not _is_owners_alone(info, file):
        raise Untrusted(
            where, f"can be written by group {_describe_group(info.st_gid)} ({describe_owner(info)})"
        )


def _check_owner(info: os.stat_result, where: str, users: frozenset[int]) -> None:
    if problem := find_owner_problem(info, users):
        raise Untrusted(where, problem)


def _is_owners_alone(info: os.stat_result, file: int) -> bool:
    """Return whether a file's group has no member but its owner, and no list names others who may write."""
    try:
        # Of a descriptor made with O_PATH only this way. With such a list, the group's bits are its mask.
        listed = _ACL in os.listxattr(f"/proc/self/fd/{file}")
    except OSError as error:
        listed = error.errno != errno.ENOTSUP
    return not listed and _is_private(info.st_uid, info.st_gid)


@functools.lru_cache(maxsize=64)
def _is_private(user: int, group: int) -> bool:
    """Return whether a group is a user's own, as distributions make one for each user."""
    try:
        owner, of = pwd.getpwuid(user), grp.getgrgid(group)
    except KeyError:
        return False
    return owner.pw_gid == group and of.gr_name == owner.pw_name and set(of.gr_mem) <= {owner.pw_name}


def _describe_user(user: int) -> str:
    try:
        return f"{pwd.getpwuid(user).pw_name} (uid {user})"
    except KeyError:
        return f"uid {user}"


def _describe_group(group: int) -> str:
    try:
        return f"{grp.getgrgid(group).gr_name} (gid {group})"
    except KeyError:
        return f"gid {group}"
