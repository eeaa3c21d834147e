"""`activity release`: check whether a model version may be released."""

from __future__ import annotations

import typer

from activitymodule.errors import RefusedError
from activitymodule.jobs import options, output
from activitymodule.jobs.models import Kind
from activitymodule.settings import settings
from activitymodule.workflows.model_operations import release as workflow

SECTION = "Labels and models"

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Check whether a model version may be released.",
    epilog="Example: activity release check   |   activity release check 3 --json",
)


@app.callback()
def release() -> None:
    """Check whether a model version may be released."""


@app.command(
    epilog="Example: activity release check 3   |   activity release check latest --json | jq .passed"
)
def check(
    version: str = typer.Argument(None, help="A version's number, or `latest`.  [default: the champion]"),
    kind: Kind = typer.Option("activity", "--kind", help="Which model."),
    as_json: bool = options.JSON,
) -> None:
    """Check every condition of a release; ends with code 5 where one does not hold.

    The gate checks the same of a challenger, and `activity models promote` before it promotes.
    """
    report = workflow.check_release(settings(), kind, version)
    if as_json:
        output.print_json(report)
    else:
        for one in report.checks:
            typer.echo(f"{'ok' if one.passed else 'NO':<3} {one.name:<10} {one.message}")
        verdict = "may be released" if report.passed else "must not be released"
        typer.echo(f"version {report.version} of {report.name} {verdict}")
    if not report.passed:
        raise typer.Exit(RefusedError.exit_code)
