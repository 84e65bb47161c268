"""sudo: whether it would run a command, and the rules of sudoers(5) that allow it."""

import fnmatch
import posixpath
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from backends.command import Command
from backends.errors import UnreadableReply
from backends.output_stream import KEEPER

_OF_WHOM = ("-u", "--user", "-g", "--group")
_NEEDLESS = ("-n", "--non-interactive", "-E", "--preserve-env", "-H", "--set-home")
_SHELL_SIGNS = frozenset("|&;<>()$`\\\"'*?[]#~%!{}\n")
"""With one of these a shell command is more than its words, and its `sudo` may be anywhere."""


def sudo_query(before: Sequence[str], tracker: Sequence[str], command: Command) -> tuple[str, ...]:
    """Return the query for the host's `sudo` or, without one, for that of the command; empty without both.

    Args:
        before: what the host puts before each command.
        tracker: what it puts before this one, innermost.
        command: the command that is to be run.
    """
    if before[:1] == ("sudo",):
        return ("sudo", "-l", *before[1:], *tracker, *command.argv)
    own = _own_query(_own_words(command))
    return (*before, *own) if own else ()


@dataclass(frozen=True, slots=True)
class SudoCall:
    """A call of sudo: a program as it is called, and its arguments."""

    program: str
    arguments: tuple[str, ...]
    user: str = ""  # empty: root
    group: str = ""
    sets_environment: bool = False


def sudo_call(before: Sequence[str], tracker: Sequence[str], command: Command) -> SudoCall | None:
    """Return the call of sudo in a command as it is sent, None without one; arguments as for `sudo_query`.

    Raises:
        UnreadableReply: it is in a shell command that is more than its words, or has options not known here.
    """
    if before[:1] == ("sudo",):
        return _call((*before, *tracker, *command.argv))
    if command.argv[: len(KEEPER)] == KEEPER:
        command = Command(command.argv[len(KEEPER) :])
    if command.argv[-3:-1] == ("sh", "-c"):
        command = Command(command.argv[-3:])  # without a time limit before it
    words = _own_words(command)
    if words[:1] == ("sudo",):
        return _call(words)
    script = command.argv[2] if not words else ""
    if re.search(r"(^|[\s;&|($`'\"])sudo\s", script):
        raise UnreadableReply("", "the command that sudo runs cannot be determined from a script")
    return None


def _call(words: Sequence[str]) -> SudoCall:
    user = group = ""
    sets_environment = False
    rest = list(words[1:])
    while rest and rest[0].startswith("-"):
        option, _, value = rest.pop(0).partition("=")
        if option in _OF_WHOM:
            value = value or (rest.pop(0) if rest else "")
            user, group = (value, group) if option in ("-u", "--user") else (user, value)
        elif option == "--":
            break
        elif option in ("-E", "--preserve-env"):
            sets_environment = True
        elif option not in _NEEDLESS:
            raise UnreadableReply(
                "", f"the command that sudo runs cannot be determined with its option {option}"
            )
    while rest and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*=.*", rest[0], re.DOTALL):
        sets_environment = True
        rest.pop(0)
    if not rest:
        raise UnreadableReply("", "sudo runs no command here")
    return SudoCall(rest[0], tuple(rest[1:]), user, group, sets_environment)


def listing_query(query: Sequence[str]) -> tuple[str, ...]:
    """Return the query for all rules, by the same way as for one command; it says first who root is."""
    before = query[: query.index("sudo")]
    return (*before, "sh", "-c", 'test "$(id -u)" != 0 || echo root; LC_ALL=C exec sudo -n -l')


def wants_password(listing: str, command: str) -> bool:
    """Return whether an allowed command certainly asks for a password, by what `sudo -l` lists.

    `sudo -l COMMAND` does not show it. A rule without password that may be meant for the command settles it:
    the order of rules is ignored.

    Args:
        listing: the output of `listing_query`.
        command: with its arguments, as sudo resolved it.
    """
    head, _, rules = listing.partition("may run the following commands")
    if not rules or listing.startswith("root\n") or "!authenticate" in head or "noninteractive" in head:
        return False
    return not any(_may_be_meant(rule, command) for rule in _find_passwordless(rules))


def _find_passwordless(rules: str) -> Iterator[str]:
    """Yield the commands of rules with NOPASSWD; a long line goes on in lines that are indented more."""
    for rule in re.split(r"\n    (?=\()", rules):
        for part in rule.split("NOPASSWD:")[1:]:
            yield from re.split(r",\s+", part.partition(" PASSWD:")[0])


def _may_be_meant(rule: str, command: str) -> bool:
    program, *arguments = command.split()
    words = [word for word in rule.split() if not re.fullmatch(r"[A-Z_]+:", word)]  # tags such as SETENV:
    if not words or "\\" in rule or "^" in rule:
        return True
    name = posixpath.basename(words[0])
    if words[0] != "ALL" and name and not fnmatch.fnmatchcase(posixpath.basename(program), name):
        return False
    wanted = " ".join(words[1:])
    return not wanted or fnmatch.fnmatchcase(" ".join(arguments), "" if wanted == '""' else wanted)


def _own_query(words: Sequence[str]) -> tuple[str, ...]:
    """Return `sudo -l` for a command with its own `sudo`; empty where it has options that `-l` refuses."""
    if words[:1] != ("sudo",):
        return ()
    query, rest = ["sudo", "-l", "-n"], list(words[1:])
    while rest and rest[0].startswith("-"):
        option = rest.pop(0)
        if option in _OF_WHOM and rest:
            query += [option, rest.pop(0)]
        elif option.startswith(tuple(f"{name}=" for name in _OF_WHOM)):
            query.append(option)
        elif option == "--":
            query.append(option)
            break
        elif option not in _NEEDLESS:
            return ()
    return (*query, *rest)


def _own_words(command: Command) -> tuple[str, ...]:
    if command.argv[:2] != ("sh", "-c") or len(command.argv) != 3:
        return command.argv
    script = command.argv[2]
    return () if _SHELL_SIGNS & set(script) else tuple(shlex.split(script))


MAX_PATTERN_CHARS = 1024  # that sudo takes of a regular expression
_SPECIAL = re.compile(r"[,:=\\#*?\[\]!^]")
_UNWRITTEN = re.compile(r"[\n\t]|(?<= ) |^ | $")  # has no place in a line of sudoers, or would be left out


def build_rule(user: str, call: SudoCall, path: str, patterns: Mapping[str, str]) -> str:
    """Return the line that lets a user run this, and nothing else, without a password.

    Args:
        user: who logs in.
        call: what sudo is asked to run.
        path: the path of its program.
        patterns: regular expressions, without groups, for parts of arguments that are not always the same,
            by what is there now. With one of them the rule is a regular expression, for which sudo
            1.9.10 is needed.

    Raises:
        ValueError: sudo has no rule for it, as it would be too long.
    """
    run_as = call.user or "root"
    run_as += f":{call.group}" if call.group else ""
    tag = "NOPASSWD:SETENV:" if call.sets_environment else "NOPASSWD:"
    arguments = _build_arguments(" ".join(call.arguments), patterns)
    return f"{user} ALL=({run_as}) {tag} {_escape_path(path)} {arguments}"


def _escape_path(path: str) -> str:
    return _escape(path).replace(" ", "\\ ")


def _build_arguments(text: str, patterns: Mapping[str, str]) -> str:
    known = {value: pattern for value, pattern in patterns.items() if _compile_standalone(value).search(text)}
    if not text:
        return '""'  # none at all; nothing here would mean any
    if not known:
        return _escape(text)
    values = sorted(known, key=len, reverse=True)
    parts = re.split("(" + "|".join(_compile_standalone(value).pattern for value in values) + ")", text)
    pattern = f"^{''.join(known.get(part) or _build_pattern(part) for part in parts)}$"
    if len(pattern) > MAX_PATTERN_CHARS:
        raise ValueError(f"its rule would have {len(pattern)} characters, and sudo takes {MAX_PATTERN_CHARS}")
    return pattern


def _compile_standalone(value: str) -> re.Pattern[str]:
    """Return a pattern of a value that is no part of a longer word; a package's name may end before it."""
    return re.compile(rf"(?<![A-Za-z0-9.+~_]){re.escape(value)}(?![A-Za-z0-9+~_-])")


def _build_pattern(text: str) -> str:
    escaped = re.sub(r"[.\[\]{}()*+?^$|\\]", r"\\\g<0>", text)
    return re.sub(r"[#\n\t]", ".", escaped)  # `#` would begin a comment, whatever precedes it


def _escape(text: str) -> str:
    """Escape text for a command of sudoers; a backslash is read once more as that of a wildcard."""
    escaped = _SPECIAL.sub(lambda found: "\\\\\\\\" if found[0] == "\\" else f"\\{found[0]}", text)
    return _UNWRITTEN.sub("?", escaped)
