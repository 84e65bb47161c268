"""The keys of the main view: what each one does, and which stay in the footer of a narrow screen."""

from textual.binding import Binding, BindingType

KEYS_BY_IMPORTANCE = (
    *("continue", "retry", "skip", "abort", "pause", "help", "quit", "upgrade", "drain", "maint", "ready"),
    *("filter", "transcript", "sort"),
)
"""The keys that stay in the footer where there is no room for all, most important first."""

MAIN_BINDINGS: list[BindingType] = [
    Binding("u", "upgrade", "upgrade", id="upgrade", tooltip="Choose a version, review the plan, start"),
    Binding("space", "answer('continue')", "continue", id="continue", tooltip="Continue"),
    Binding("p", "pause", "pause", id="pause", tooltip="Pause or resume the rollout; deadlines are stopped"),
    Binding("r", "answer('retry')", "retry", id="retry", tooltip="Try the failed node again"),
    Binding("s", "answer('skip')", "skip", id="skip", tooltip="Leave this node as it is and continue"),
    Binding("a", "abort", "abort", id="abort", tooltip="End the rollout after the running step"),
    Binding("d", "change('drain')", "drain", id="drain", tooltip="No new traffic; sessions continue"),
    Binding("m", "change('maint')", "maint", id="maint", tooltip="Maintenance, at once"),
    Binding("e", "change('ready')", "ready", id="ready", tooltip="Back in rotation, after health checks"),
    Binding("w", "change('weight')", "weight", id="weight", tooltip="Set the weight", show=False),
    Binding(
        "R",
        "roll_back",
        "roll back",
        id="roll-back",
        tooltip="Roll back to the previous versions",
        show=False,
    ),
    Binding("ctrl+r", "resume", "resume", id="resume", tooltip="Finish an unfinished rollout", show=False),
    Binding("slash", "filter", "filter", id="filter", tooltip="Show only rows with this text"),
    Binding(
        "o",
        "sort",
        "sort",
        id="sort",
        tooltip="Next sort order: problems, node, sessions, ...",
        show=False,
    ),
    Binding("O", "reverse", "reverse", id="reverse", tooltip="Reverse the sort order", show=False),
    Binding("v", "view", "group", id="view", tooltip="Group servers by node, over all backends"),
    Binding("b", "backend", "backend", id="backend", tooltip="Next backend", show=False),
    Binding("exclamation_mark", "problems", "problems", id="problems", tooltip="Only problems", show=False),
    Binding("g", "application", "application", id="application", tooltip="Go to another application"),
    Binding(
        "escape",
        "put_away",
        "close",
        id="put-away",
        tooltip="Close the filter, then the board of a rollout that has ended",
        show=False,
    ),
    Binding("t", "transcript", "log", id="transcript", tooltip="Every command and every raw reply"),
    Binding("q", "quit_console", "quit", id="quit", tooltip="Quit; asks what to do with a running rollout"),
]
