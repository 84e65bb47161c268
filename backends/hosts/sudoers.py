"""Rules of sudoers(5) for single commands: pure functions, tested with a real sudo."""

import re
from collections.abc import Mapping

from backends.hosts.sudo import SudoCall

LONGEST_PATTERN = 1024  # characters that sudo takes of a regular expression
_SPECIAL = re.compile(r"[,:=\\#*?\[\]!^]")
_UNWRITTEN = re.compile(r"[\n\t]|(?<= ) |^ | $")  # has no place in a line of sudoers, or would be left out


def rule(user: str, call: SudoCall, path: str, patterns: Mapping[str, str]) -> str:
    """The line that lets a user run this, and nothing else, without a password.

    Args:
        user: who logs in.
        call: what sudo is asked to run.
        path: of its program.
        patterns: regular expressions, without groups, for parts of arguments that are not always the same,
            by what stands there now. With one of them the rule is a regular expression, for which sudo
            1.9.10 is needed.

    Raises:
        ValueError: sudo has no rule for it, as it would be too long.
    """
    run_as = call.user or "root"
    run_as += f":{call.group}" if call.group else ""
    tag = "NOPASSWD:SETENV:" if call.sets_environment else "NOPASSWD:"
    return f"{user} ALL=({run_as}) {tag} {_path(path)} {_arguments(' '.join(call.arguments), patterns)}"


def _path(path: str) -> str:
    return _escaped(path).replace(" ", "\\ ")


def _arguments(text: str, patterns: Mapping[str, str]) -> str:
    known = {value: pattern for value, pattern in patterns.items() if _standing_alone(value).search(text)}
    if not text:
        return '""'  # none at all; nothing here would mean any
    if not known:
        return _escaped(text)
    values = sorted(known, key=len, reverse=True)
    parts = re.split("(" + "|".join(_standing_alone(value).pattern for value in values) + ")", text)
    pattern = f"^{''.join(known.get(part) or _as_pattern(part) for part in parts)}$"
    if len(pattern) > LONGEST_PATTERN:
        raise ValueError(f"its rule would have {len(pattern)} characters, and sudo takes {LONGEST_PATTERN}")
    return pattern


def _standing_alone(value: str) -> re.Pattern[str]:
    """Where it is no part of a longer word; a package's name may end right before it."""
    return re.compile(rf"(?<![A-Za-z0-9.+~_]){re.escape(value)}(?![A-Za-z0-9+~_-])")


def _as_pattern(text: str) -> str:
    escaped = re.sub(r"[.\[\]{}()*+?^$|\\]", r"\\\g<0>", text)
    return re.sub(r"[#\n\t]", ".", escaped)  # `#` would begin a comment, whatever stands before it


def _escaped(text: str) -> str:
    """Text that means itself in a command of sudoers; a backslash is read once more as that of a wildcard."""
    escaped = _SPECIAL.sub(lambda found: "\\\\\\\\" if found[0] == "\\" else f"\\{found[0]}", text)
    return _UNWRITTEN.sub("?", escaped)
