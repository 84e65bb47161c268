"""What HAProxy answers to writes: an empty line for each success, any text for a refusal."""

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
