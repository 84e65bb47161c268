"""Notifications that can be late without harm."""

from textual.notifications import Notification

SHOWN_AT_LEAST_S = 0.1


class LateNotification(Notification):
    """A notification whose time may be over by the moment at which it is shown.

    Textual skips those that have expired. One that expires between this look and the start of its timer, as
    where the machine is busy or was suspended, gets a timer with a negative time. Such a timer of Textual
    never ends and lets nothing else run: the console would be frozen for good.
    """

    @property
    def time_left(self) -> float:
        """The seconds for which it is still shown; never negative."""
        return max(SHOWN_AT_LEAST_S, super().time_left)

    @property
    def has_expired(self) -> bool:
        return super().time_left <= 0
