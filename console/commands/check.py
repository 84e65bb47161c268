"""`rolldeck check`: preflight checks for one application or for all."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

import click

from backends.errors import RolldeckError
from backends.text import counted
from console.completion import complete_applications, complete_versions
from console.config.config_file import Config, find_and_load
from console.errors import report_error
from console.exit_codes import ExitCode
from console.interrupts import interrupts
from console.run_plan import make_plan, scope_options
from console.terminal import rollout_text
from console.terminal.output import clean, result, result_json
from orchestrator.planning.application import Amount
from orchestrator.planning.findings import fold_findings
from orchestrator.planning.plan import Plan


@dataclass(frozen=True, slots=True)
class Scope:
    """The options that limit what is checked; see `make_plan`."""

    version: str | None
    serial: Amount | list[Amount] | None
    limit: tuple[str, ...]
    ready: tuple[str, ...]


@click.command()
@click.argument("app", required=False, shell_complete=complete_applications)
@click.argument("version", required=False, shell_complete=complete_versions)
@scope_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each application.")
@click.pass_obj
def check(
    config_file: str | None,
    app: str | None,
    version: str | None,
    serial: Amount | list[Amount] | None,
    limit: tuple[str, ...],
    ready: tuple[str, ...],
    as_json: bool,
) -> int:
    """Run preflight checks only, for APP or for all applications; nothing is changed.

    Exits 0 if an upgrade could start; for several applications, with the highest code of any.
    """
    if app is None and (limit or ready):
        raise click.UsageError("--limit and --force-ready name nodes of one application: give APP too")
    config = find_and_load(config_file)
    names = [app] if app is not None else list(config.apps)
    for name in names:
        config.app(name)
    check_all = _Check(config, Scope(version, serial, limit, ready), as_json, several=app is None)
    return interrupts.run(check_all.run(names))


class _Check:
    """Checks applications one after the other, and prints findings that they share only once."""

    def __init__(self, config: Config, scope: Scope, as_json: bool, *, several: bool) -> None:
        self._config = config
        self._file = os.path.abspath(config.file)
        self._scope = scope
        self._as_json = as_json
        self._several = several
        self._printed: set[str] = set()

    async def run(self, names: list[str]) -> ExitCode:
        if not self._as_json:
            result(f"configuration: {clean(self._file)}")
        worst = ExitCode.HEALTHY
        for name in names:
            worst = max(worst, await self._check_one(name))
        return worst

    async def _check_one(self, app: str) -> ExitCode:
        scope = self._scope
        try:
            plan = await make_plan(self._config, app, scope.version, scope.serial, scope.limit, scope.ready)
        except RolldeckError as error:
            if not self._several and not self._as_json:
                raise
            code = ExitCode(report_error(error))
            self._write(app, _check_fields(None, str(error)))
            return code
        code = ExitCode.REFUSED if plan.errors else ExitCode.HEALTHY
        if self._as_json:
            self._write(app, _check_fields(plan, ""))
        else:
            self._print_plan(app, plan)
        return code

    def _write(self, app: str, fields: Mapping[str, object]) -> None:
        if not self._as_json:
            result(f"{app}: could not be checked")
            return
        head = {"kind": "check", "application": app, "version": self._scope.version or ""}
        result_json({**head, "configuration": self._file, **fields})

    def _print_plan(self, app: str, plan: Plan) -> None:
        if self._several:
            result(f"{app}:")
        indent, has_shared = "  " if self._several else "", False
        for line in rollout_text.finding_lines(plan.findings):
            has_shared |= line in self._printed
            if line not in self._printed:
                result(indent + line)
            self._printed.add(line)
        above = "; findings shared with other applications are listed above" if has_shared else ""
        if plan.errors:
            errors = counted(len(fold_findings(plan.errors)), "error")
            result(f"{indent}{app} cannot be upgraded: {errors}{above}")
        else:
            batches = counted(len(plan.batches), "batch")
            result(f"{indent}{app} can be upgraded: {counted(len(plan.nodes), 'node')}, {batches}{above}")


def _check_fields(plan: Plan | None, error: str) -> dict[str, object]:
    """Return the JSON fields of an application; without a plan, `error` says why there is none."""
    return {
        "result": "failed" if plan is None else "refused" if plan.errors else "ready",
        "nodes": len(plan.nodes) if plan else 0,
        "batches": len(plan.batches) if plan else 0,
        "errors": len(plan.errors) if plan else 1,
        "findings": [finding.to_fields() for finding in plan.findings] if plan else [],
        "error": error,
    }
