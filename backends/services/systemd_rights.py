"""Rights under systemd: polkit's, and whether a user's units go on after the logout."""

from backends.command import Command, CommandResult
from backends.hosts.execution import format_output, query
from backends.protocols import Host
from backends.services.systemd_unit import parse_show

# Details such as the unit's name could be given by root alone: a rule for one unit is not known this way.
_RIGHTS = """
test "$(id -u)" = 0 && echo allowed && exit
pkcheck --action-id org.freedesktop.systemd1.manage-units --process $$ >/dev/null 2>&1 && echo allowed ||
echo not"""
NOT_ALLOWED = (
    "systemctl is called without sudo by a user who is not root, and polkit does not let that user stop and"
    " start every unit: whether one of its rules allows it for this unit is known only when the stop is tried"
)


def rights_command() -> Command:
    """Prints `not` where polkit has no rule that lets the user manage every unit; changes nothing."""
    return Command(("sh", "-c", _RIGHTS))


def rights_caveat(result: CommandResult) -> str:
    """In words; empty where root or polkit's rules for every unit allow it, or nothing is known."""
    return NOT_ALLOWED if result.ok and result.stdout.strip() == "not" else ""


LINGER = Command(("sh", "-c", 'exec loginctl show-user --property=Linger -- "$(id -u)"'))


async def lingering_caveats(host: Host, timeout_s: float) -> tuple[str, ...]:
    """What logins may do to the units of whoever is logged in there; see `ServiceManager.caveats`.

    Raises:
        Unreachable: as it comes from the host.
        UnreadableReply: the answer was lost.
    """
    result = await query(host, LINGER, timeout=timeout_s)
    match parse_show(result.stdout).get("Linger") if result.ok else None:
        case "yes":
            return ()
        case "no":
            return (
                "its unit belongs to a user who does not linger: it ends with that user's last login, perhaps"
                " Rolldeck's own, and systemd would not start it after a reboot; see loginctl enable-linger",
            )
    return (
        "whether its unit keeps running when its user is not logged in cannot be checked:"
        f" {format_output(result)}",
    )
