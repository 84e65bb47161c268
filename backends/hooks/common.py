"""The moments of a rollout, and the protocol of a hook: a command or URL that may object to them."""

from collections.abc import Collection
from typing import Literal, Protocol

Moment = Literal["start", "node", "pause", "failure", "end"]
"""A moment of a rollout: before a node is touched, after each node, when it pauses, when a node fails, at its
end."""


class Hook(Protocol):
    """A command or URL of the operator's that is informed of a rollout, and may object."""

    @property
    def name(self) -> str:
        """Name for people, without secrets."""

    @property
    def on(self) -> Collection[Moment]:
        """The moments at which the hook is called."""

    @property
    def stops(self) -> bool:
        """Whether the rollout stops when the hook fails."""

    async def fire(self, payload: bytes) -> None:
        """Call the hook with one JSON object. Cancelling ends the hook with all that it has started.

        Raises:
            BackendError: it could not be called, did not answer in time, or answered no.
            ConfigError: the secret that it needs cannot be read.
        """
