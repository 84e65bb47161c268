"""Whether polkit lets a user stop and start units of the machine's systemd without a password."""

from backends.model import Command, CommandResult

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
