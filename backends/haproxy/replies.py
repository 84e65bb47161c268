"""Where an answer ends, and what HAProxy answers to writes.

Every reply ends with an empty line; the reply to a successful write is nothing but that line.
"""

import re
from dataclasses import dataclass

_SEVERITY = re.compile(r"^\[[0-9]\]: ?", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class WriteReplies:
    """The answers to one line of commands, without severity numbers.

    Attributes:
        answers: one for each command; empty for a success.
        complete: the last one was not cut off.
    """

    answers: tuple[str, ...]
    complete: bool

    @classmethod
    def parse(cls, text: str) -> "WriteReplies":
        """Divide a reply: a success is a lone newline, a text ends with an empty line."""
        answers = []
        rest = text
        while rest:
            if rest.startswith("\n"):
                answers.append("")
                rest = rest[1:]
                continue
            answer, end, rest = rest.partition("\n\n")
            answers.append(_SEVERITY.sub("", answer).strip())
            if not end:
                return cls(tuple(answers), complete=False)
        return cls(tuple(answers), complete=True)

    @property
    def words(self) -> str:
        """All that HAProxy had to say, on one line."""
        return "; ".join(" ".join(answer.split()) for answer in self.answers if answer)


def reads_end(received: bytes | bytearray, count: int) -> bool:
    """Whether these bytes hold the replies to so many reads, the last one to its end."""
    return received.endswith(b"\n\n") and received.count(b"\n\n") >= count


def writes_end(received: bytes | bytearray, count: int) -> bool:
    """Whether these bytes hold the replies to so many writes, the last one to its end."""
    replies = WriteReplies.parse(received.decode(errors="replace"))
    return replies.complete and len(replies.answers) >= count
