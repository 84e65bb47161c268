"""`rolldeck plan`: the dry run of an upgrade, and the sudoers rules that the nodes need."""

import click

from backends.name_ranges import fold_names
from backends.templates import check_version
from console.completion import complete_applications, complete_versions
from console.config.config_file import Config, find_and_load
from console.exit_codes import ExitCode
from console.interrupts import interrupts
from console.run_plan import make_plan, scope_options
from console.sessions import open_session
from console.terminal import rollout_text
from console.terminal.output import clean, result, result_json
from orchestrator.planning.application import Amount
from orchestrator.planning.mapping import select_nodes
from orchestrator.planning.plan_json import encode_plan
from orchestrator.preflight.dry_run import find_sudo_rules


@click.command()
@click.argument("app", shell_complete=complete_applications)
@click.argument("version", shell_complete=complete_versions)
@scope_options
@click.option("--json", "as_json", is_flag=True, help="Print the whole plan as one JSON object.")
@click.option("--sudoers", is_flag=True, help="Print only the sudoers lines that the nodes need.")
@click.pass_obj
def plan(
    config_file: str | None,
    app: str,
    version: str,
    serial: Amount | list[Amount] | None,
    limit: tuple[str, ...],
    ready: tuple[str, ...],
    as_json: bool,
    sudoers: bool,
) -> int:
    """Show what an upgrade would do: batches, what stays in rotation, and every command (dry run)."""
    if sudoers:
        return interrupts.run(_print_sudoers(find_and_load(config_file), app, version, limit))
    dry_run = interrupts.run(make_plan(find_and_load(config_file), app, version, serial, limit, ready))
    if as_json:
        result_json(encode_plan(dry_run))
    else:
        for line in (*rollout_text.plan_lines(dry_run), "", *rollout_text.command_lines(dry_run)):
            result(line)
        for line in rollout_text.finding_lines(dry_run.findings):
            result(line)
    return ExitCode.REFUSED if dry_run.errors else ExitCode.HEALTHY


async def _print_sudoers(config: Config, app: str, version: str, limit: tuple[str, ...]) -> ExitCode:
    """Print the rules of each node, once for all nodes that need the same. Raises ConfigError."""
    check_version(version)
    async with open_session(config, app) as session:
        nodes, findings = select_nodes((await session.load_all_nodes()).nodes, limit)
        found = await find_sudo_rules(nodes, version)
    groups: dict[tuple[str, ...], list[str]] = {}
    for node in found:
        lines = (*(f"# missing: {clean(problem)}" for problem in node.problems), *map(clean, node.rules))
        groups.setdefault(lines or ("# no command is run with sudo",), []).append(node.node)
    for finding in findings:
        result(f"# {clean(finding.subject)}: {clean(finding.text)}")
    for lines, names in groups.items():
        result(f"# {clean(app)} on {clean(fold_names(names))}")
        for line in lines:
            result(line)
    return ExitCode.REFUSED if findings or any(node.problems for node in found) else ExitCode.HEALTHY
