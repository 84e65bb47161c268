"""Installation by the operator's Ansible playbook, which runs on the console's machine."""

import re
import shlex
from collections.abc import Mapping, Sequence

import msgspec

from backends.command import Command, CommandResult
from backends.errors import ConfigError
from backends.hosts.execution import format_output
from backends.installers.common import CommandSequence
from backends.node_state import Availability, Presence
from backends.templates import InstallTable, InstallText, NoText, fill_plain
from backends.text import MAX_DETAIL_CHARS, last_lines, shorten
from backends.untrusted import is_address

# A play's hosts as `--list-hosts` shows them: their number, then one on each line, further in.
_HOSTS = re.compile(r"^( *)hosts \(\d+\):")
_TASK = re.compile(r"^(?:TASK|RUNNING HANDLER) \[(.*)\] \**$")
_FAILURE = re.compile(r"^(?:fatal|failed): \[")
_ERROR = "ERROR! "
_RECAP = re.compile(r"^PLAY RECAP \*")
_MESSAGES = ("msg", "module_stderr", "stderr", "stdout")  # fields of a task's result that may have the reason


def parse_hosts(text: str) -> frozenset[str] | None:
    """Return the hosts of all plays together; None when this is no list of hosts."""
    found: set[str] = set()
    indent: int | None = None  # of the heading above the hosts
    is_list = False
    for line in text.splitlines():
        if heading := _HOSTS.match(line):
            indent, is_list = len(heading[1]), True
        elif indent is not None and line.strip() and len(line) - len(line.lstrip()) > indent:
            found.add(line.strip())
        else:
            indent = None
    return frozenset(found) if is_list else None


def find_error(text: str) -> str:
    """Return the beginning of its last error on one line, for people only; empty where there is none.

    What follows the beginning says at length which lines of a file may be meant.
    """
    _, mark, rest = text.rpartition(_ERROR)
    lines = [line.strip() for line in rest.splitlines() if line.strip()]
    return shorten(f"{mark.strip()} {'; '.join(lines)}", MAX_DETAIL_CHARS) if mark else ""


def find_failed_task(text: str) -> str:
    """Return the last task that failed and why on one line, for people only; empty where there is none."""
    lines = text.splitlines()
    failures = [index for index, line in enumerate(lines) if _FAILURE.match(line)]
    if not failures:
        return ""
    task = next((found[1] for line in reversed(lines[: failures[-1]]) if (found := _TASK.match(line))), "")
    end = next((index for index, line in enumerate(lines) if _RECAP.match(line)), len(lines))
    reason = _find_reason(lines[_find_first_of_task(failures, lines) : end])
    return f"task {shorten(task, MAX_DETAIL_CHARS)!r}: {reason}" if task else reason


def _find_first_of_task(failures: Sequence[int], lines: Sequence[str]) -> int:
    """Return the first failure of the task that failed last: a loop's item fails before the loop itself."""
    first = failures[-1]
    for index in reversed(failures):
        if any(_TASK.match(line) for line in lines[index:first]):
            break
        first = index
    return first


def _find_reason(lines: Sequence[str]) -> str:
    """Return the message and the output of a failure's result; its last lines when it has no result."""
    _, _, result = lines[0].partition(" => ")
    try:
        fields = msgspec.json.decode(result, type=Mapping[str, object])
    except msgspec.DecodeError:
        return shorten("; ".join(line.strip() for line in last_lines("\n".join(lines))), MAX_DETAIL_CHARS)
    texts = (fields.get(name) for name in _MESSAGES)
    messages = dict.fromkeys("; ".join(last_lines(text)) for text in texts if isinstance(text, str))
    return shorten("; ".join(text for text in messages if text), MAX_DETAIL_CHARS) or "(no message)"


_ONE_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@%+=-]*")
_LIMIT = re.compile(r"--lim(i|it)?")  # Ansible takes the beginnings of options, too
_ONE_VALUE = re.compile(r"\{[^{}]*\}")
_GROUPS = ("all", "ungrouped")  # those that every inventory has
_CONSOLE = frozenset({"localhost", "127.0.0.1", "::1"})  # a play for them does not change another node
_MAX_SHOWN_HOSTS = 5  # that an error names


class AnsibleInstall(CommandSequence, kw_only=True, frozen=True, tag="ansible"):
    """`ansible-playbook` for one node.

    Attributes:
        playbook: path on the console's machine; relative to `directory` if there is one.
        inventory: the argument of `-i`; empty for the one of ansible.cfg.
        limit: template of the node's name in Ansible's inventory. Ansible reads it as a pattern, so a value
            that could mean other hosts than the one of that name is refused.
        variable: the extra variable that carries the wanted version.
        extra: more extra variables; texts are templates. Not for secrets: they are seen in the
            process list and in the transcript, and Ansible has its vault for them.
        directory: where to run, so that its ansible.cfg is found; empty for where the console runs.
        options: more options, such as ``--become --tags deploy``; which hosts are meant says `limit` alone.
    """

    playbook: InstallText
    inventory: InstallText = ""
    limit: InstallText = "{node}"
    variable: str = "version"
    extra: InstallTable = msgspec.field(default_factory=dict)
    directory: InstallText = ""
    options: NoText = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        for word in shlex.split(self.options):
            if word.startswith("-l") or _LIMIT.fullmatch(word.partition("=")[0]):
                raise ValueError(f"options: found {word!r}; expected key `limit` in its place")

    def install_commands(self, values: Mapping[str, str]) -> tuple[Command, ...]:
        return (self._playbook_command(values),)

    def availability_command(self, values: Mapping[str, str]) -> Command | None:
        """Return the same call, which reads the playbook, roles and inventory, but runs nothing."""
        return self._playbook_command(values, "--list-hosts")

    def read_availability(self, result: CommandResult, values: Mapping[str, str]) -> Availability:
        if not result.ok:
            reason = find_error(result.stderr) or format_output(result)
            problem = f"`ansible-playbook --list-hosts` fails: {reason}"
            return Availability(Presence.NOT_THERE, problem)
        limit = self._fill_limit(values)
        hosts = parse_hosts(result.stdout)
        if hosts is not None and not hosts:
            problem = f"no play of the playbook is for a host of the limit {limit!r}"
            return Availability(Presence.NOT_THERE, problem)
        others = sorted((hosts or frozenset()) - _CONSOLE)
        # Of a pattern of the operator's own, more than one host may well be wanted.
        if len(others) > 1 and _ONE_VALUE.fullmatch(self.limit):
            names = ", ".join(others[:_MAX_SHOWN_HOSTS]) + (", …" if len(others) > _MAX_SHOWN_HOSTS else "")
            problem = f"the limit {limit!r} is {len(others)} hosts for Ansible ({names}); expected one"
            return Availability(Presence.NOT_THERE, problem)
        return Availability(Presence.NOT_KNOWN, self.availability_unknown(), any_version=True)

    def availability_unknown(self) -> str:
        return "Ansible cannot tell which versions there are; its playbook and its inventory can be read"

    def describe_failure(self, result: CommandResult) -> str:
        reason = find_failed_task(result.stdout) or find_error(result.stderr)
        return reason or super().describe_failure(result)

    def _playbook_command(self, values: Mapping[str, str], *more: str) -> Command:
        argv = ("env", "ANSIBLE_NOCOLOR=1", "ansible-playbook", *more, *self._build_arguments(values))
        if not self.directory:
            return Command(argv)
        directory = fill_plain(self.directory, values)
        return Command.shell(f"cd -- {shlex.quote(directory)} && exec {shlex.join(argv)}")

    def _build_arguments(self, values: Mapping[str, str]) -> tuple[str, ...]:
        inventory = (f"--inventory={fill_plain(self.inventory, values)}",) if self.inventory else ()
        # If an option is given twice the last one counts: it must not be the playbook of other nodes.
        return (
            *shlex.split(self.options),
            *inventory,
            f"--limit={self._fill_limit(values)}",
            f"--extra-vars={self._encode_variables(values)}",
            "--",
            fill_plain(self.playbook, values),
        )

    def _fill_limit(self, values: Mapping[str, str]) -> str:
        """Fill `limit`. Its own text is the operator's and may be any pattern.

        Raises:
            ConfigError: a value is a pattern, a list, a file or a group for Ansible.
        """
        limit = fill_plain(self.limit, values)
        for name, value in values.items():
            if f"{{{name}}}" not in self.limit:
                continue
            # An address with colons is one host only if nothing else is beside it.
            alone = limit == value and is_address(value)
            if value in _GROUPS or not (alone or _ONE_HOST.fullmatch(value)):
                found = f"{{{name}}} is {value!r}, which Ansible would not read as the name of one host"
                expected = "letters, digits and . _ @ % + = -"
                raise ConfigError("", "install.limit", f"{found}; expected {expected}")
        return limit

    def _encode_variables(self, values: Mapping[str, str]) -> str:
        """Return the variables as JSON: `key=value` would be split at spaces and turn 1.10 into a number."""
        extra = {
            name: fill_plain(value, values) if isinstance(value, str) else value
            for name, value in self.extra.items()
        }
        return msgspec.json.encode({self.variable: values["version"], **extra}).decode()
