"""`activity score`: run the streaming job: readings from Kafka to predictions in PostgreSQL."""

from __future__ import annotations

import json

import typer

from activitymodule.settings import settings

SECTION = "Stream"

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    help="Run the streaming job: readings from Kafka to predictions in PostgreSQL.",
    epilog="Example: activity score --seconds 60",
)


@app.command(epilog="Example: activity score --seconds 60")
def score(
    once: bool = typer.Option(False, help="Stop when everything that is in the topic now has been scored."),
    seconds: float | None = typer.Option(None, min=1, help="Stop after so many seconds."),
    archive: bool = typer.Option(True, help="Also write the raw messages to the lake."),
    accept_data_loss: bool = typer.Option(
        False, help="Go on although Kafka has deleted messages that were not scored yet."
    ),
    set_checkpoint_aside: bool = typer.Option(
        False, help="Rename the checkpoint and take up the work from the store's record of offsets."
    ),
    forget_offsets: bool = typer.Option(
        False, help="Ignore the store's record of offsets where the checkpoint is missing too."
    ),
    json_: bool = typer.Option(False, "--json", help="Print what was done as JSON at the end."),
) -> None:
    """Run the streaming job: readings from Kafka to predictions in PostgreSQL. Ctrl-C ends it cleanly."""
    from activitymodule.streaming.score import Options, ScoringJob

    job = ScoringJob(
        settings(),
        Options(
            once=once,
            seconds=seconds,
            accept_data_loss=accept_data_loss,
            set_checkpoint_aside=set_checkpoint_aside,
            forget_offsets=forget_offsets,
            archive=archive,
        ),
    )
    job.run()
    done = {"windows": job.windows, "batches": job.batches, "panes_too_late": job.dropped_late}
    if json_:
        typer.echo(json.dumps(done))
    else:
        typer.echo(f"scored {job.windows:,} windows in {job.batches:,} batches", err=True)
