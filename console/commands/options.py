"""Options that several commands share."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from orchestrator.planning.policy import Amount, Policy

F = TypeVar("F", bound=Callable[..., Any])


def sizes(_: click.Context, __: click.Parameter, value: str | None) -> Amount | list[Amount] | None:
    """`--serial`: "2", "30%", or a list such as "1,25%,100%"."""
    if value is None:
        return None
    parts: list[Amount] = [each.strip() for each in value.split(",")]
    try:
        Policy(serial=parts)
    except ValueError as error:
        raise click.BadParameter(str(error).removeprefix("serial: ")) from None
    return parts[0] if len(parts) == 1 else parts


def scope(command: F) -> F:
    """The options that say how much of an application is meant."""
    for option in (
        click.option(
            "--force-ready",
            "ready",
            multiple=True,
            metavar="NODE",
            help="Put this node in rotation although it is out now.",
        ),
        click.option(
            "--limit", multiple=True, metavar="PATTERN", help="Only these nodes, such as web1 or 'web[12]'."
        ),
        click.option("--serial", callback=sizes, metavar="SIZES", help="Batches: 2, 30% or 1,25%,100%."),
    ):
        command = option(command)
    return command


def break_lock(command: F) -> F:
    """Of every command that changes something."""
    text = "Break the current lock (recorded)."
    return click.option("--break-lock", is_flag=True, help=text)(command)


EVENTS_JSON_HELP = "Every event as one line of JSON on standard output."
