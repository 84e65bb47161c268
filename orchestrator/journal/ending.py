"""Which event ends an entry of the journal, and with what result."""

from orchestrator.events import AnyEvent, ManualChangeFinished, RolloutEnded


def ending(kind: str, event: AnyEvent) -> tuple[str, str] | None:
    """The result and the reason with which an event ends an entry of this kind; None when it does not.

    A change by hand may be made while a rollout goes on, and is written into its entry: it does not end that.
    """
    match event:
        case RolloutEnded(result=result, reason=reason) if kind != "change":
            return result, reason
        case ManualChangeFinished(error=error) if kind == "change":
            return ("degraded" if error else "healthy"), error
        case _:
            return None
