"""Whether the systemd of a user, and with it what it runs, goes on when nobody is logged in."""

from backends.asking import look, words
from backends.base import Host
from backends.model import Command
from backends.services.systemd_unit import parse_show

LINGER = Command(("sh", "-c", 'exec loginctl show-user --property=Linger -- "$(id -u)"'))


async def lingering_caveats(host: Host, timeout_s: float) -> tuple[str, ...]:
    """What logins may do to the units of whoever is logged in there; see `ServiceManager.caveats`.

    Raises:
        Unreachable: as it comes from the host.
        Unmeasured: the answer was lost.
    """
    result = await look(host, LINGER, timeout=timeout_s)
    match parse_show(result.stdout).get("Linger") if result.ok else None:
        case "yes":
            return ()
        case "no":
            return (
                "its unit belongs to a user who does not linger: it ends with that user's last login, perhaps"
                " Rolldeck's own, and systemd would not start it after a reboot; see loginctl enable-linger",
            )
    return (f"whether its unit goes on when its user is not logged in cannot be seen: {words(result)}",)
