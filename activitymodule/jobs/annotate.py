"""`activity annotate`: export and import labels and spans; label with a simulated annotator (tests and demos)."""

from __future__ import annotations

from pathlib import Path

import typer

from activitymodule import files
from activitymodule.errors import ConfigError
from activitymodule.jobs import annotate_spans, options, output
from activitymodule.lake import labels
from activitymodule.settings import settings
from activitymodule.store import connection as store
from activitymodule.workflows import labelling

SECTION = "Labels and models"

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    epilog="Example: activity annotate --oracle --error-rate .05 --items 100",
)
app.add_typer(annotate_spans.app, name="spans")


@app.callback(invoke_without_command=True)
def annotate(
    context: typer.Context,
    oracle: bool = typer.Option(
        False, "--oracle", help="Answer from the truth topic. For tests and demos only."
    ),
    error_rate: float = typer.Option(0.0, min=0, max=1, help="Share of wrong labels, at random."),
    items: int = typer.Option(None, min=1, help="End after this many items."),
    seconds: float = typer.Option(
        None,
        min=0,
        callback=options.finite,
        help="End after this many seconds; otherwise when no item waits.",
    ),
    seed: int = typer.Option(0, help="Seed of the wrong labels."),
    annotators: int = typer.Option(2, min=1, max=9, help="Simulated annotators: oracle-1, oracle-2 ..."),
    as_json: bool = options.JSON,
) -> None:
    """Export and import labels and spans; label with a simulated annotator (tests and demos only).

    People label in the console (`activity console`).
    """
    if context.invoked_subcommand is not None:
        return
    if not oracle:
        raise ConfigError(
            "people label in the console (`activity console`); give --oracle, export, import or spans"
        )
    count = labelling.run_oracle(
        settings(), error_rate=error_rate, items=items, seconds=seconds, seed=seed, annotators=annotators
    )
    if as_json:
        output.print_json(count)
    else:
        typer.echo(
            f"{count.items:,} items: {count.labels:,} labelled ({count.wrong:,} wrongly, on purpose), "
            f"{count.unsure:,} unsure"
        )


@app.command("export", epilog="Example: activity annotate export labels.csv")
def export_(
    path: Path = typer.Argument(Path("-"), help="File to write; - is standard output."),
    form: str = typer.Option(None, "--as", help="csv or label-studio.  [default: by the file's name]"),
) -> None:
    """Write the answers in force, one row an annotator and window, with the gold label."""
    config = settings()
    with store.session(config, read_only=True) as connection:
        text, answers = labels.exported_text(
            connection,
            form or ("label-studio" if path.suffix == ".json" else "csv"),
            config.labels,
        )
    if str(path) == "-":
        output.print_text(text)
        return
    files.write_text(path, text)
    typer.echo(f"{answers:,} answers in {path}", err=True)


@app.command("import", epilog="Example: activity annotate import labels.csv --annotator anna")
def import_(
    path: Path = typer.Argument(..., help="CSV with device_id, window_start, label, or Label Studio's JSON."),
    annotator: str = typer.Option("import", help="Whose labels they are, where the file does not say it."),
    as_json: bool = options.JSON,
) -> None:
    """Add answers from a file that are newer than the annotator's own in the store."""
    count = labelling.import_file(settings(), path, annotator)
    if as_json:
        output.print_json(count)
    else:
        typer.echo(
            f"{count.added:,} labels added ({count.unmatched:,} of windows that were never queued, which have no "
            f"features to learn from), {count.known:,} were there already"
        )
        for reason, number in count.passed_over.items():
            typer.echo(f"passed over: {number:,} {reason}")
