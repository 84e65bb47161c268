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
        begin = 0
        while begin < len(text):
            if text.startswith("\n", begin):
                answers.append("")
                begin += 1
                continue
            end = text.find("\n\n", begin)
            answers.append(_SEVERITY.sub("", text[begin : end if end >= 0 else None]).strip())
            if end < 0:
                return cls(tuple(answers), complete=False)
            begin = end + 2
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
    if not received.endswith(b"\n"):
        return False
    replies = WriteReplies.parse(received.decode(errors="replace"))
    return replies.complete and len(replies.answers) >= count
