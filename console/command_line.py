"""The command line. Commands are imported only when they run, so that `--help` and completion stay fast."""

import importlib
import logging
import sys
from collections.abc import Mapping

import click

from console.completion import complete_applications
from console.exit_codes import ExitCode

COMMANDS: Mapping[str, tuple[str, str]] = {
    # name: (module in console.commands, one line for --help)
    "status": ("status", "Show every server on every load balancer."),
    "check": ("check", "Run preflight checks only, for one or all applications."),
    "apps": ("apps", "Show all applications: nodes, versions, traffic, rollouts."),
    "plan": ("plan", "Show what an upgrade would do: every batch and command."),
    "upgrade": ("upgrade", "Upgrade an application, node by node, without losing a request."),
    "resume": ("resume", "Resume an unfinished rollout from the current state."),
    "rollback": ("rollback", "Roll nodes back to their previous versions."),
    "drain": ("servers", "Take nodes out of rotation and let their sessions end."),
    "maint": ("servers", "Put nodes into maintenance."),
    "ready": ("servers", "Put nodes back in rotation, after health checks have passed."),
    "weight": ("servers", "Set the weight of nodes."),
    "follow": ("follow", "Follow a rollout that is running."),
    "control": ("follow", "Pause, resume, abort or continue a rollout that is running."),
    "calibrate": ("calibrate", "Measure how often a verdict would be wrong; nothing is changed."),
    "shell": ("shell", "Open a shell on a node, with Rolldeck's own SSH settings."),
    "logs": ("logs", "Print or follow the log of the service of a node."),
    "history": ("history", "List past rollouts and manual changes."),
    "init": ("init", "Write a first configuration from HAProxy's state."),
    "demo": ("demo", "Run a real upgrade on local servers, under load."),
}

HIDDEN: Mapping[str, tuple[str, str]] = {
    "run-rollout": ("run_rollout", "Carry out the rollout that a console has requested."),
}
"""Commands that Rolldeck itself runs."""


class LazyGroup(click.Group):
    """Group that knows its commands by name and imports the module of a command when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in {*COMMANDS, *HIDDEN} and not args[0].startswith("-") and not ctx.resilient_parsing:
            from backends.text import there_is

            ctx.fail(f"No such command {args[0]!r}; {there_is(args[0], COMMANDS)}")
        return super().resolve_command(ctx, args)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        commands = {**COMMANDS, **HIDDEN}
        if cmd_name not in commands:
            return None
        module = importlib.import_module(f"console.commands.{commands[cmd_name][0]}")
        command: click.Command = getattr(module, cmd_name.replace("-", "_"))
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


EPILOG = """\b
Exit codes: 0 healthy · 1 stopped by a failure, or something is out of rotation, or cannot be read or written
2 wrong command line or configuration · 3 refused by preflight, a freeze window, a lock or the capacity floor,
no changes made · 4 aborted · 70 a bug in Rolldeck. After work on nodes, every code but 0 comes with a list
of what is out of rotation."""


@click.group(
    cls=LazyGroup,
    invoke_without_command=True,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--config",
    "config_file",
    metavar="FILE",
    help="Configuration file (default: ./config.toml, then $XDG_CONFIG_HOME/rolldeck/config.toml).",
)
@click.option(
    "--app",
    metavar="APP",
    shell_complete=complete_applications,
    help="Application to open in the console (default: all of them, at a glance).",
)
@click.option("--read-only", is_flag=True, help="Open the console read-only.")
@click.option("--debug", is_flag=True, help="Also log wire traffic (secrets redacted).")
@click.version_option(package_name="rolldeck", prog_name="rolldeck")
@click.pass_context
def cli(
    ctx: click.Context, config_file: str | None, app: str | None, read_only: bool, debug: bool
) -> int | None:
    """Zero-downtime rolling upgrades behind HAProxy; without a command, the console opens."""
    ctx.obj = config_file
    if debug:
        logging.getLogger("rolldeck.wire").setLevel(logging.DEBUG)  # `backends.command`, slow to import
    if ctx.invoked_subcommand is not None:
        return None
    # Textual draws on standard error.
    if not all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)):
        click.echo(f"{ctx.get_help()}\n\nThe console needs a terminal; without one, use a command.", err=True)
        return ExitCode.USAGE
    from console.tui.run_console import open_console

    return open_console(config_file, app, read_only)
