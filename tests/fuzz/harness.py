"""The property that all fuzz tests check: no errors but our own, and CPU time in proportion to the input.

The examples of a property are few and always the same, unless `ROLLDECK_FUZZ` is set, as by `make fuzz`.
"""

import functools
import os
import re
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.strategies import SearchStrategy

from backends.errors import RolldeckError

T = TypeVar("T")

LIMIT_S = 0.2  # of CPU for each 100 kB, and for anything shorter
REPEATS = 4  # a slow run counts when all of them are: the machine may be busy
VARIABLE = "ROLLDECK_FUZZ"

examples = Counter[str]()  # that were tried, by property

_COMMON = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}
# Nothing is made smaller in `make test`, which may take minutes.
_QUICK = (Phase.explicit, Phase.generate)
_SHORT = settings(max_examples=25, derandomize=True, phases=_QUICK, **_COMMON)  # type: ignore[arg-type]
# Explaining traces every line, after which nothing is quick enough.
_WHOLE = (*_QUICK, Phase.shrink)
_LONG = settings(max_examples=200, derandomize=False, print_blob=True, phases=_WHOLE, **_COMMON)  # type: ignore[arg-type]


def fuzzed(**strategies: SearchStrategy[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A property of everything that these strategies make up."""

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(test)
        def counted(**values: Any) -> None:
            examples[name_of(test)] += 1
            test(**values)

        decorated: Callable[..., None] = (_LONG if os.environ.get(VARIABLE) else _SHORT)(
            given(**strategies)(counted)
        )
        return decorated

    return decorate


def name_of(test: Callable[..., None]) -> str:
    """As pytest writes it."""
    return f"{test.__module__.replace('.', '/')}.py::{test.__name__}"


_INERT = re.compile(r"[A-Za-z0-9_.:][A-Za-z0-9_.:%-]*")


def inert(*texts: str) -> None:
    """Hosts and users that were let in are nothing else to any program."""
    for text in texts:
        assert _INERT.fullmatch(text), text


def bounded(read: Callable[[], T], size: int, *own: type[Exception]) -> T | None:
    """Call what reads foreign input.

    Args:
        read: is called, again when it was slow.
        size: of the input in bytes or characters.
        own: errors that its documentation promises beside RolldeckError: these, and no subclass of them.

    Returns:
        What it returned; None when it raised one of our own errors.

    Raises:
        AssertionError: it took too long, each time.
    """
    limit_s = LIMIT_S * max(1.0, size / 100_000)
    fastest_s = float("inf")
    for _ in range(REPEATS):
        begun = time.thread_time()
        found = _called(read, own)
        fastest_s = min(fastest_s, time.thread_time() - begun)
        if fastest_s <= limit_s:
            return found
    raise AssertionError(f"{fastest_s:.2f} s of CPU for {size} bytes, expected at most {limit_s:.2f}")


def _called(read: Callable[[], T], own: tuple[type[Exception], ...]) -> T | None:
    try:
        return read()
    except RolldeckError:
        return None
    except Exception as error:
        if type(error) in own:
            return None
        raise


def finished(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that waits for nothing: what it asks is a stand-in. An event loop would take longer."""
    try:
        work.send(None)
    except StopIteration as end:
        value: T = end.value
        return value
    work.close()
    raise AssertionError("it waited for something")
