"""What `ansible-playbook` prints: the hosts of its plays, and the task that failed."""

import re
from collections.abc import Mapping, Sequence

import msgspec

from backends.text_limits import MAX_DETAIL, last_lines, shorten

# A play's hosts as `--list-hosts` shows them: their number, then one on each line, further in.
_HOSTS = re.compile(r"^( *)hosts \(\d+\):")
_TASK = re.compile(r"^(?:TASK|RUNNING HANDLER) \[(.*)\] \**$")
_FAILURE = re.compile(r"^(?:fatal|failed): \[")
_ERROR = "ERROR! "
_RECAP = re.compile(r"^PLAY RECAP \*")
_MESSAGES = ("msg", "module_stderr", "stderr", "stdout")  # of a task's result: where the reason is looked for


def listed_hosts(text: str) -> frozenset[str] | None:
    """The hosts of all plays together; None when this is no list of hosts."""
    found: set[str] = set()
    indent: int | None = None  # of the heading that the hosts stand under
    is_list = False
    for line in text.splitlines():
        if heading := _HOSTS.match(line):
            indent, is_list = len(heading[1]), True
        elif indent is not None and line.strip() and len(line) - len(line.lstrip()) > indent:
            found.add(line.strip())
        else:
            indent = None
    return frozenset(found) if is_list else None


def stated_error(text: str) -> str:
    """The beginning of its last error, on one line; empty where there is none. For people only.

    What follows the beginning says at length which lines of a file may be meant.
    """
    _, mark, rest = text.rpartition(_ERROR)
    lines = [line.strip() for line in rest.splitlines() if line.strip()]
    return shorten(f"{mark.strip()} {'; '.join(lines)}", MAX_DETAIL) if mark else ""


def failed_task(text: str) -> str:
    """The last task that failed and why, on one line; empty where none is seen. For people only."""
    lines = text.splitlines()
    failures = [index for index, line in enumerate(lines) if _FAILURE.match(line)]
    if not failures:
        return ""
    task = next((found[1] for line in reversed(lines[: failures[-1]]) if (found := _TASK.match(line))), "")
    end = next((index for index, line in enumerate(lines) if _RECAP.match(line)), len(lines))
    reason = _reason(lines[_first_of_task(failures, lines) : end])
    return f"task {shorten(task, MAX_DETAIL)!r}: {reason}" if task else reason


def _first_of_task(failures: Sequence[int], lines: Sequence[str]) -> int:
    """The first failure of the task that failed last: that of a loop's item comes before the loop's own."""
    first = failures[-1]
    for index in reversed(failures):
        if any(_TASK.match(line) for line in lines[index:first]):
            break
        first = index
    return first


def _reason(lines: Sequence[str]) -> str:
    """Of the lines of a failure: its message and what the task's program said, if they are its result."""
    _, _, result = lines[0].partition(" => ")
    try:
        fields = msgspec.json.decode(result, type=Mapping[str, object])
    except msgspec.DecodeError:
        return shorten("; ".join(line.strip() for line in last_lines("\n".join(lines))), MAX_DETAIL)
    texts = (fields.get(name) for name in _MESSAGES)
    said = dict.fromkeys("; ".join(last_lines(text)) for text in texts if isinstance(text, str))
    return shorten("; ".join(text for text in said if text), MAX_DETAIL) or "(no message)"
