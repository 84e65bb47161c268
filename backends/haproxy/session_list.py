"""The sessions on several servers, from `show sess`: their ids and ages, for forecasts and orderly ends.

HAProxy writes about 270 bytes for each session, and before 3.2 it writes those of all servers. With 100,000
sessions that would be 27 MB: no more than `MAX_LIST_BYTES` is read, which is about 30,000 sessions.
"""

import re
from collections.abc import Collection

from backends.haproxy.columns import Name
from backends.haproxy.sessions import is_whole, parse_age, raise_if_cut, raise_if_refused
from backends.model import ListedSession, SessionList

MAX_LIST_BYTES = 8 * 1024 * 1024
MAX_LISTED = 30_000  # sessions, about
_LINE = re.compile(r"(?P<id>0x[0-9a-f]{1,16}): .*? be=(?P<backend>\S+) srv=(?P<server>\S+) ")


def parse_session_list(instance: str, text: str, servers: Collection[Name]) -> SessionList:
    """Return the sessions of these servers from the reply to `commands.listed_sessions`.

    Args:
        instance: the load balancer's name, for errors.
        text: the reply; one that is longer than `MAX_LIST_BYTES` may end anywhere.
        servers: backend and name of each server; an empty name means all servers of the backend.

    Raises:
        PermissionDenied, Refused: with HAProxy's words, when that is what it says.
        UnreadableReply: a shorter reply was cut off.
    """
    raise_if_refused(instance, text)
    if len(text) <= MAX_LIST_BYTES // 2:  # characters, which may have more bytes
        raise_if_cut(instance, text)
    complete = is_whole(text)
    lines = text.split("\n")
    found = []
    for line in lines if complete else lines[:-1]:
        match = _LINE.match(line)
        if match is None:
            continue
        name = match["backend"], match["server"]
        if name in servers or (name[0], "") in servers:
            found.append(ListedSession(match["backend"], match["server"], match["id"], parse_age(line)))
    return SessionList(tuple(found), complete)
