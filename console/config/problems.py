"""All problems of a configuration, collected while it is read and raised together."""

from collections.abc import Callable
from typing import Any, TypeVar

from backends.errors import ConfigError

T = TypeVar("T")

MAX_ERRORS = 1000  # of a long table; an error costs a millisecond


class ConfigErrors(ConfigError):
    """Error for several problems in one configuration.

    Attributes:
        errors: all of them, in the order of the file; `file`, `key` and `problem` are those of the first.
    """

    def __init__(self, errors: tuple[ConfigError, ...]) -> None:
        self.errors = errors
        first = errors[0]
        super().__init__(first.file, first.key, first.problem)

    def __str__(self) -> str:
        return "\n".join(str(error) for error in self.errors)


class Problems:
    """Collects errors while a configuration is read, and raises them together."""

    def __init__(self) -> None:
        self._errors: list[ConfigError] = []

    def collect(self, make: Callable[[], T], otherwise: T) -> T:
        """Return what `make` returns, or `otherwise` when it raises ConfigError."""
        try:
            return make()
        except ConfigErrors as several:
            self._errors += several.errors
        except ConfigError as error:
            self._errors.append(error)
        return otherwise

    @property
    def full(self) -> bool:
        """Whether there are so many errors that the rest of a long table is skipped."""
        return len(self._errors) >= MAX_ERRORS

    def add(self, file: str, key: str, problem: str) -> None:
        self._errors.append(ConfigError(file, key, problem))

    def raise_any(self, document: object = None) -> None:
        """Raise the collected errors, if there are any.

        Args:
            document: the whole file, whose order the errors get.

        Raises:
            ConfigError: with the only error, or a ConfigErrors with all of them.
        """
        if isinstance(document, dict) and len(self._errors) > 1:
            places = _KeyOrder(document)
            self._errors.sort(key=lambda error: places.of(error.key))
        if len(self._errors) == 1:
            raise self._errors[0]
        if self._errors:
            raise ConfigErrors(tuple(self._errors))


class _KeyOrder:
    """The order of the keys in a file; there may be thousands of keys and of errors."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document
        self._orders: dict[int, dict[str, int]] = {}  # of the names in a table, by its identity

    def of(self, key: str) -> tuple[int, ...]:
        """Return numbers that sort as the file does; a key that is missing there sorts last in its table."""
        found: list[int] = []
        table: Any = self._document
        parts = key.split(".")
        while parts:
            order = self._order(table)
            # A name may have dots in it.
            sizes = range(len(parts), 0, -1)
            size = next((size for size in sizes if ".".join(parts[:size]) in order), 0)
            if not size:
                return (*found, len(order))
            name, parts = ".".join(parts[:size]), parts[size:]
            found.append(order[name])
            table = table[int(name)] if isinstance(table, list) else table[name]
        return tuple(found)

    def _order(self, table: Any) -> dict[str, int]:
        if id(table) not in self._orders:
            names = map(str, range(len(table))) if isinstance(table, list) else table
            names = names if isinstance(table, list | dict) else ()
            self._orders[id(table)] = {name: number for number, name in enumerate(names)}
        return self._orders[id(table)]
