"""Listeners that record what adapters report of their commands."""

from backends.command import CommandFinished, CommandListener, CommandReport, CommandSending


def exchanges(seen: list[CommandFinished], announced: list[CommandSending] | None = None) -> CommandListener:
    """Return a listener that keeps finished commands and, with a second list, those about to be sent."""

    def record(report: CommandReport) -> None:
        if isinstance(report, CommandFinished):
            seen.append(report)
        elif isinstance(report, CommandSending) and announced is not None:
            announced.append(report)

    return record
