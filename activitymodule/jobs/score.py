"""`activity score`: run the streaming job: readings from Kafka to predictions in PostgreSQL."""

from __future__ import annotations

import typer

from activitymodule.jobs import options, output
from activitymodule.settings import settings
from activitymodule.streaming import score as streaming

SECTION = "Stream"

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(epilog="Example: activity score --seconds 60")
def score(
    once: bool = typer.Option(False, help="End when everything that is in the topic now is scored."),
    seconds: float | None = typer.Option(
        None, min=1, callback=options.finite, help="End after this many seconds."
    ),
    archive: bool = typer.Option(True, help="Also write the raw messages to the lake."),
    accept_data_loss: bool = typer.Option(
        False, help="Go on although Kafka has deleted messages that were not scored yet."
    ),
    set_checkpoint_aside: bool = typer.Option(
        False, help="Rename the checkpoint and continue from the offsets in the store."
    ),
    forget_offsets: bool = typer.Option(
        False, help="Ignore the offsets in the store where the checkpoint is missing too."
    ),
    as_json: bool = options.JSON,
) -> None:
    """Run the streaming job: readings from Kafka to predictions in PostgreSQL. Ctrl-C ends it in order."""
    job = streaming.ScoringJob(
        settings(),
        streaming.Options(
            once=once,
            seconds=seconds,
            accept_data_loss=accept_data_loss,
            set_checkpoint_aside=set_checkpoint_aside,
            forget_offsets=forget_offsets,
            archive=archive,
        ),
    )
    job.run()
    if as_json:
        state_windows, state_bytes = job.state
        output.print_json(
            {
                "windows": job.windows,
                "batches": job.batches,
                "panes_too_late": job.dropped_late,
                "state_windows": state_windows,
                "state_bytes": state_bytes,
            }
        )
    else:
        typer.echo(f"scored {job.windows:,} windows in {job.batches:,} batches", err=True)
