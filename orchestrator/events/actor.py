"""The actor of an event: who did something to a rollout, and from where."""

from typing import Literal, TypedDict

import msgspec

Via = Literal["", "terminal", "console", "socket", "consul", "rolldeck"]
"""The place from which something was done.

"":         unknown: the event was written before this was recorded
"terminal": a command, a prompt or a signal on the machine that carries out the rollout
"console":  a screen of a console on that machine
"socket":   a request over that machine's own socket by anything else; nothing writes this today
"consul":   a request that was left in Consul; who left it is known only as far as Consul is trusted
"rolldeck": nobody: Rolldeck itself, such as when a load balancer was reloaded
"""


VIA_WORDS: dict[str, str] = {
    "terminal": "the terminal",
    "console": "the console",
    "socket": "this machine's socket",
    "consul": "Consul",
}
"""The words for each `Via`."""


class Origin(TypedDict):
    """The fields of an event beside the name of its actor."""

    via: Via
    uid: int
    credential: str


class Actor(msgspec.Struct, frozen=True):
    """A person, or Rolldeck itself, who does something.

    Attributes:
        name: `user@machine`, as they or their machine give it.
        via: from where.
        uid: of the process on the machine that carries out the rollout; -1 if unknown.
        credential: type and SHA-256 fingerprint of the SSH key or certificate with which they logged in on
            that machine; empty if unknown. Of a request in Consul: whether it was signed, and what
            the machine that left it says of its process and its log-in. It never holds anything secret.
    """

    name: str
    via: Via = ""
    uid: int = -1
    credential: str = ""

    @property
    def origin(self) -> Origin:
        """The fields for an event, beside the name."""
        return Origin(via=self.via, uid=self.uid, credential=self.credential)

    def __str__(self) -> str:
        return self.name


def describe_requester(name: str, via: str) -> str:
    """Return who did something, and from where unless that was in the rollout's own process."""
    return f"{name} via {VIA_WORDS[via]}" if via in ("socket", "consul") else name


def describe_requester_in_full(name: str, origin: Origin) -> str:
    """Return the same with the credential, which in the rollout's own process is recorded at its start."""
    who = describe_requester(name, origin["via"])
    return f"{who} ({origin['credential']})" if who != name and origin["credential"] else who


def describe_origin(origin: Origin) -> str:
    """Return from where somebody started something, with uid and credential, as far as known."""
    parts = [VIA_WORDS.get(origin["via"], "")]
    if origin["uid"] >= 0:
        parts.append(f"uid {origin['uid']}")
    if origin["credential"]:
        parts.append(f"logged in with {origin['credential']}")
    return ", ".join(part for part in parts if part)


ROLLDECK = Actor("Rolldeck", "rolldeck")
"""The actor of what Rolldeck does of its own accord."""
