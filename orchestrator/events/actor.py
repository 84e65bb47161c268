"""Who did something to a rollout, and from where they did it."""

from typing import Literal, TypedDict

import msgspec

Via = Literal["", "terminal", "console", "socket", "consul", "rolldeck"]
"""From where something was done.

"":         not known: the event was written before this was recorded
"terminal": a command, a prompt or a signal of the process that carries out the rollout
"console":  a screen of the console in which the rollout runs
"socket":   a request over this machine's own socket
"consul":   a request that was left in Consul; who left it is known only as far as Consul is trusted
"rolldeck": nobody: Rolldeck itself, such as when a load balancer was reloaded
"""


VIA_WORDS: dict[str, str] = {
    "terminal": "the terminal",
    "console": "the console",
    "socket": "this machine's socket",
    "consul": "Consul",
}
"""As people read it."""


class Origin(TypedDict):
    """The fields that an event has beside the name of whoever did it."""

    via: Via
    uid: int
    credential: str


class Actor(msgspec.Struct, frozen=True):
    """Somebody who does something.

    Attributes:
        name: `user@machine`, as they or their machine give it.
        via: from where they do it.
        uid: of the process on the machine that carries out the rollout; -1 when it is not known.
        credential: type and SHA-256 fingerprint of the SSH key or certificate with which they logged in on
            that machine; empty when it is not known. Of a request in Consul: whether it was signed, and what
            the machine that left it says of its process and its log-in. It never holds anything secret.
    """

    name: str
    via: Via = ""
    uid: int = -1
    credential: str = ""

    @property
    def origin(self) -> Origin:
        """For an event, beside the name."""
        return Origin(via=self.via, uid=self.uid, credential=self.credential)

    def __str__(self) -> str:
        return self.name


def requested(name: str, via: str) -> str:
    """Who did something, and from where when that was not in the rollout's own process."""
    return f"{name} via {VIA_WORDS[via]}" if via in ("socket", "consul") else name


def requested_with(name: str, origin: Origin) -> str:
    """The same with their credential; what is done in the rollout's own process has that of its beginning."""
    who = requested(name, origin["via"])
    return f"{who} ({origin['credential']})" if who != name and origin["credential"] else who


def began(origin: Origin) -> str:
    """From where somebody began something, their uid and their credential, as far as these are known."""
    parts = [VIA_WORDS.get(origin["via"], "")]
    if origin["uid"] >= 0:
        parts.append(f"uid {origin['uid']}")
    if origin["credential"]:
        parts.append(f"logged in with {origin['credential']}")
    return ", ".join(part for part in parts if part)


ROLLDECK = Actor("Rolldeck", "rolldeck")
"""What nobody asked for is done by Rolldeck itself."""
