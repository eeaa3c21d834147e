"""`activity retrain`: retrain the classifier on new labels; promote it if it is significantly better."""

from __future__ import annotations

import typer

from activitymodule.jobs import options, output
from activitymodule.settings import settings
from activitymodule.store import retraining as store
from activitymodule.workflows.retraining import approval, promoting, request, results
from activitymodule.workflows.retraining import run as workflow

SECTION = "Labels and models"

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    help="Retrain the classifier on gold labels; promote it only if it is significantly better.",
    epilog="Examples: activity retrain   |   activity retrain --force --dry-run   |   activity retrain history",
)

_RUN = typer.Argument(..., help="A run, or the beginning of its id.")


def _say(step: str, text: str) -> None:
    typer.secho(f"{step:<9} ", bold=True, nl=False, err=True)
    typer.echo(text, err=True)


@app.callback(invoke_without_command=True)
def retrain(
    context: typer.Context,
    force: bool = typer.Option(False, help="Ignore the label threshold."),
    dry_run: bool = typer.Option(False, help="Train and evaluate a challenger, but move no alias."),
    seed: int = typer.Option(1, min=0, max=2**31 - 1, help="Same labels and same seed: same model."),
    min_labels: int = typer.Option(
        None, min=1, help="New labels that are needed.  [default: learning.min_labels]"
    ),
    require_approval: bool = typer.Option(
        False, help="A better challenger waits for `activity retrain approve RUN`."
    ),
    why: str = typer.Option("", help="The reason, for the record."),
    as_json: bool = options.JSON,
) -> None:
    """Retrain the classifier on gold labels; promote it only if it is significantly better.

    Ends with 0 whether the challenger was promoted, rejected or not needed, and prints which and why.
    """
    if context.invoked_subcommand is not None:
        return
    config = settings()
    for other in approval.waiting(config):
        _say(
            "note",
            f"the retraining {other.run_id} waits for approval (`{promoting.approval_command(other)}`); once "
            "another version is champion it can no longer be approved",
        )
    requested = results.Options(
        min_labels=min_labels, force=force, dry_run=dry_run, seed=seed, require_approval=require_approval
    )
    report = workflow.run_all(config, request.new_run_id(), requested, why=why, say=_say)
    if as_json:
        output.print_json(report)
    else:
        typer.echo(f"{report.state}: {report.summary}")


@app.command(epilog="Example: activity retrain history --limit 5 --json")
def history(limit: int = typer.Option(20, min=1, help="How many."), as_json: bool = options.JSON) -> None:
    """Retrainings, newest first: who began each, why, and how it ended."""
    reports = workflow.history(settings(), limit)
    if as_json:
        output.print_json(reports)
        return
    if not reports:
        typer.echo("there was no retraining yet")
        return
    output.print_table(
        ("run", "began", "by", "why", "state", "challenger", "summary"),
        [
            (one.run_id, one.started_at, one.started_by, one.why, one.state, one.challenger, one.summary)
            for one in reports
        ],
    )


@app.command(epilog="Example: activity retrain show 20261120T101500Z-1f3a")
def show(run_id: str = _RUN, as_json: bool = options.JSON) -> None:
    """One retraining: its training set, the figures of both models, every check of the gate."""
    report = workflow.report(settings(), run_id)
    if as_json:
        output.print_json(report)
        return
    for line in lines_of(report):
        typer.echo(line)
    figures = report.steps.gate.per_label if report.steps.gate else {}
    if figures:
        output.print_table(
            ("activity", "audit windows", "people", "recall before", "recall after"),
            [
                (label, one.windows, one.people, one.champion, one.challenger)
                for label, one in figures.items()
            ],
        )


def lines_of(report: results.Report) -> list[str]:
    """A run in lines: how it ended, what it was trained on, and the checks of the gate."""
    lines = [f"{report.run_id}  {report.state}  (by {report.started_by}: {report.why})"]
    lines.append(f"  {report.summary or ''}")
    if taken := report.steps.snapshot:
        spans = f", {taken.span_windows:,} windows under spans" if taken.span_windows else ""
        lines.append(
            f"  trained on {taken.windows:,} windows, {taken.labels} labels{spans}: {taken.snapshot_id}"
        )
        lines.append(f"  base: {taken.base.summary}")
        lines += [f"  left out: {count}, {reason}" for reason, count in taken.left_out.items()]
    if gate := report.steps.gate:
        lines += [f"  {'yes' if one.passed else 'NO '}  {one.name}: {one.message}" for one in gate.checks]
    return lines


@app.command(epilog="Example: activity retrain approve 20261120T101500Z-1f3a")
def approve(run_id: str = _RUN) -> None:
    """Promote the challenger of a run that waits for approval."""
    done = approval.approve(settings(), run_id, by_whom=store.who())
    typer.echo(f"{done.state}: {done.summary}")


@app.command(epilog="Example: activity retrain abandon 20261120T101500Z-1f3a")
def abandon(run_id: str = _RUN) -> None:
    """End a run that waits, or whose process is gone."""
    typer.echo(f"{approval.abandon(settings(), run_id, by_whom=store.who())} was abandoned")
