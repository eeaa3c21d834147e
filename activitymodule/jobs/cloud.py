"""`activity cloud`: stage code, run verbs as jobs of EMR or Dataproc, keep the tables of Glue, remove what is left."""

from __future__ import annotations

import sys

import typer
from rich.console import Console

from activitymodule.cloud.jobs import Job
from activitymodule.errors import RefusedError
from activitymodule.jobs import options, output
from activitymodule.settings import settings
from activitymodule.workflows.cloud import catalogue, cleaning, running
from activitymodule.workflows.cloud import stage as staging

SECTION = "Services"

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    epilog="Example: activity cloud run preprocess --on emr --wait",
)

_JOB = typer.Argument(help="Id of a job; `activity cloud list` shows them.")
_ON = typer.Option(
    None,
    help="emr (EMR Serverless), emr-ec2 (EMR on EC2) or dataproc (Dataproc Serverless).  [default: cloud.engine]",
)


def _say(text: str) -> None:
    typer.echo(text, err=True)


@app.command(epilog="Example: activity cloud stage --to s3://my-bucket/activity")
def stage(
    to: str | None = typer.Option(None, help="s3://BUCKET/PREFIX or gs://...  [default: cloud.staging]"),
    as_json: bool = options.JSON,
) -> None:
    """Copy code, Spark scripts, requirements and jars to the staging bucket; only what changed."""
    report = staging.stage(settings(), to, say=_say)
    if as_json:
        output.print_json(report)
        return
    typer.echo(
        f"{report.uploaded:,} files copied ({report.bytes / 1e6:,.1f} MB), {report.kept:,} kept -> {report.to}"
    )


@app.command(
    epilog="Examples: activity cloud run preprocess --on emr --wait   |   "
    "activity cloud run preprocess --on emr -- casas s3://my-bucket/raw/casas"
)
def run(
    verb: str = typer.Argument(help="preprocess, train, days, history, score or generate."),
    words: list[str] | None = typer.Argument(
        None,
        help="Arguments and options of the verb itself, after --.  [preprocess: casas STAGING/raw/casas]",
    ),
    on: str | None = _ON,
    wait: bool = typer.Option(False, help="Follow the job to its end."),
    hours: float = typer.Option(
        4.0, min=0.1, max=1000, help="After so long the job is ended.", callback=options.finite
    ),
    executors: int | None = typer.Option(
        None, min=1, max=1000, help="Of 4 vCPU and 16 GB each.  [default: cloud.executors]"
    ),
    token: str | None = typer.Option(None, help="Starting again with the same token starts no second job."),
    yes: bool = typer.Option(False, help="Do not ask, whatever it may cost."),
    cancel: bool = typer.Option(False, help="With --wait: Ctrl-C ends the job; without, it goes on."),
    as_json: bool = options.JSON,
) -> None:
    """Run a verb as a job in the cloud. The application or cluster is made where there is none."""
    config = settings()

    def confirm(cost: running.Estimate) -> bool:
        return yes or (
            sys.stdin.isatty()
            and typer.confirm(
                f"the job may cost {cost.dollars:,.2f} $ in {cost.hours:g} h; run it?", err=True
            )
        )

    request = running.Request(verb, tuple(words or ()), on, hours, executors, token)
    job = running.submit(config, request, confirm=confirm, say=_say)
    _say(f"job {job.id} ({job.name}): {job.state}")
    if not wait:
        if as_json:
            output.print_json(job)
        return
    try:
        ended = _followed(job, on)
    except KeyboardInterrupt:
        if cancel:
            running.stop(config, job.id, on)
            _say(f"the job {job.id} was cancelled")
        else:
            _say(f"the job {job.id} goes on; `{running.command('stop', job, on)}` ends it")
        raise
    if as_json:
        output.print_json(ended)
        return
    typer.echo("\n".join(ended.log))
    typer.echo(f"job {job.id}: {ended.job.state} after {ended.job.seconds:,} s, {ended.job.dollars:,.2f} $")


def _followed(job: Job, on: str | None) -> running.Ended:
    """Follow a job with its state on stderr: one line that changes on a terminal, else a line for each new state."""
    console = Console(stderr=True)
    shown = job.state
    with console.status(shown) as status:

        def on_state(now: Job) -> None:
            nonlocal shown
            status.update(f"{now.state}, {now.seconds:,} s")
            if now.state != shown:
                shown = now.state
                console.print(f"job {now.id}: {shown} {now.details}", highlight=False, markup=False)

        return running.follow(settings(), job, on, on_state)


@app.command("list", epilog="Example: activity cloud list")
def list_jobs(
    on: str | None = _ON,
    most: int = typer.Option(20, "-n", min=1, max=1000, help="How many."),
    as_json: bool = options.JSON,
) -> None:
    """Show the last jobs."""
    found = running.jobs(settings(), most, on)
    if as_json:
        output.print_json(found)
        return
    output.print_table(
        ("job", "name", "state", "since", "details"),
        [(one.id, one.name, one.state, one.created_at, one.details) for one in found],
    )


@app.command(epilog="Example: activity cloud logs 00f1abc2def3 --stream stdout")
def logs(
    job: str = _JOB,
    stream: str = typer.Option("stderr", help="stderr or stdout; Dataproc keeps both in one."),
    on: str | None = _ON,
) -> None:
    """Print the log of a job's driver."""
    output.print_text(running.log(settings(), job, stream, on))


@app.command(epilog="Example: activity cloud stop 00f1abc2def3")
def stop(job: str = _JOB, on: str | None = _ON, as_json: bool = options.JSON) -> None:
    """End a job."""
    now = running.stop(settings(), job, on)
    if as_json:
        output.print_json(now)
    else:
        typer.echo(f"job {now.id}: {now.state}")


@app.command(epilog="Example: activity cloud tables")
def tables(as_json: bool = options.JSON) -> None:
    """Make the tables of recordings and daily records in Glue, or bring them up to date; columns are only added."""
    made = catalogue.update(settings())
    if as_json:
        output.print_json(made)
        return
    output.print_table(
        ("table", "location", "columns", "added", "partitions added"),
        [(one.name, one.location, one.columns, ", ".join(one.added), one.partitions) for one in made],
    )


@app.command(epilog="Example: activity cloud clean --staged --tables")
def clean(
    on: str | None = typer.Option(
        None, help="Only what was made on this engine.  [default: each that reads cloud.staging]"
    ),
    staged: bool = typer.Option(
        False, "--staged", help="Staged files of earlier versions that no job needs, too."
    ),
    tables: bool = typer.Option(False, "--tables", help="The tables of Glue, too; their files stay."),
    yes: bool = typer.Option(False, "--yes", help="Do not ask."),
    as_json: bool = options.JSON,
) -> None:
    """Show what was made in the cloud and is not in use, and remove it.

    These are applications, clusters, records of batches, and uploads that were not completed within a day. The lake's
    data is never removed.
    """
    config = settings()
    found = cleaning.find(config, on, staged_too=staged, tables_too=tables)
    if found and not as_json:
        output.print_table(
            ("kind", "name", "details", "kept because"),
            [(one.kind, one.name, one.details, one.keep) for one in found],
        )
    removable = sum(not one.keep for one in found)
    if removable and not yes:
        if not sys.stdin.isatty():
            raise RefusedError("nothing was removed: nobody can be asked here; --yes removes without asking")
        if not typer.confirm(f"remove {removable:,} of these?", err=True):
            raise RefusedError("nothing was removed")
    removed = cleaning.remove(config, found, say=_say)
    if as_json:
        output.print_json({"removed": removed, "kept": [one for one in found if one.keep]})
    elif not removable:
        typer.echo("there is nothing to remove")
