"""Look for longer than a test may take, with new seeds: `make fuzz`, or

    python -m tests.fuzz [--seconds 600] [PART OF A NAME ...]

Each property gets its share of the time. What is found is printed with the example that shows it, which then
belongs above the property as an `@example`. Exits 1 when anything was found.
"""

import argparse
import importlib
import os
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

from hypothesis.errors import HypothesisWarning

from tests.fuzz.harness import VARIABLE, examples, name_of

MOST_LINES = 40  # of one finding


def properties(parts: list[str]) -> Iterator[Callable[[], None]]:
    """All of them, or those whose name has one of these parts in it."""
    for path in sorted(Path(__file__).parent.glob("test_*.py")):
        module = importlib.import_module(f"tests.fuzz.{path.stem}")
        for name, test in vars(module).items():
            if name.startswith("test_") and (not parts or any(part in name_of(test) for part in parts)):
                yield test


def explore(test: Callable[[], None], seconds: float) -> str:
    """Try one property until its time is over; returns what was found, in words, or nothing."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            test()
        except Exception:
            return "\n".join(traceback.format_exc().splitlines()[-MOST_LINES:])
        if time.monotonic() > deadline:
            return ""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("parts", nargs="*")
    given = parser.parse_args()
    os.environ[VARIABLE] = "1"  # before the properties are imported: it says how many examples they get
    warnings.simplefilter("ignore", HypothesisWarning)  # of long examples, which are what is wanted
    every = list(properties(given.parts))
    findings = 0
    for test in every:
        begun = time.monotonic()
        found = explore(test, given.seconds / len(every))
        tried = examples[name_of(test)]
        said = "FOUND" if found else "nothing found"
        print(f"{name_of(test)}: {tried} examples in {time.monotonic() - begun:.0f} s, {said}", flush=True)  # noqa: T201 - a program's output
        if found:
            findings += 1
            print(found, flush=True)  # noqa: T201 - a program's output
    print(f"{sum(examples.values())} examples of {len(every)} properties, {findings} findings")  # noqa: T201 - a program's output
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
