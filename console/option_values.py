"""Values of options, read by functions that know nothing of the command line."""

from collections.abc import Callable
from typing import TypeVar

import click

T = TypeVar("T")


def parse_with(
    parse: Callable[[str], T],
) -> Callable[[click.Context, click.Parameter, str | None], T | None]:
    """Make a callback of an option from a function that raises ValueError for a wrong value."""

    def callback(_: click.Context, __: click.Parameter, value: str | None) -> T | None:
        try:
            return None if value is None else parse(value)
        except ValueError as error:
            raise click.BadParameter(str(error)) from None

    return callback
