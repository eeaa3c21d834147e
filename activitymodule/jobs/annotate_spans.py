"""`activity annotate spans`: export, import and undo spans, which people label as they remember them."""

from __future__ import annotations

from pathlib import Path

import typer

from activitymodule import files
from activitymodule.jobs import options, output
from activitymodule.lake import span_csv
from activitymodule.settings import settings
from activitymodule.store import connection as store
from activitymodule.store import retraining, spans
from activitymodule.workflows import labelling

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Export, import and undo spans: an activity given to a span of time of a watch.",
    epilog="Example: activity annotate spans import diary.csv --zone Europe/Berlin",
)


@app.command("import", epilog="Example: activity annotate spans import diary.csv --zone Europe/Berlin")
def import_(
    path: Path = typer.Argument(..., help="CSV with device, from, to, activity."),
    zone: str = typer.Option(None, help="Time zone of times without an offset, such as Europe/Berlin."),
    annotator: str = typer.Option("import", help="Whose spans they are, where the file does not say it."),
    as_json: bool = options.JSON,
) -> None:
    """Add the spans of a file that the store does not have; where spans overlap, the later one counts."""
    count = labelling.import_span_file(settings(), path, annotator, zone, retraining.who())
    if as_json:
        output.print_json(count)
        return
    typer.echo(f"{count.added:,} spans added, {count.known:,} were there already")
    for reason, number in count.passed_over.items():
        typer.echo(f"passed over: {number:,} {reason}")


@app.command("export", epilog="Example: activity annotate spans export spans.csv")
def export_(path: Path = typer.Argument(Path("-"), help="File to write; - is standard output.")) -> None:
    """Write the spans that were not undone, in the order of their answers."""
    with store.session(settings(), read_only=True) as connection:
        found = spans.spans_in_force(connection)
    text = span_csv.spans_to_csv(found)
    if str(path) == "-":
        output.print_text(text)
        return
    files.write_text(path, text)
    typer.echo(f"{len(found):,} spans in {path}", err=True)


@app.command("list", epilog="Example: activity annotate spans list --device watch-00001")
def list_(
    device: str = options.DEVICE,
    limit: int = typer.Option(50, min=1, help="Spans at most, those answered last first."),
    as_json: bool = options.JSON,
) -> None:
    """List the spans that were not undone, with their numbers."""
    with store.session(settings(), read_only=True) as connection:
        found = spans.spans_in_force(connection, device)[::-1][:limit]
    if as_json:
        output.print_json(found)
        return
    if not found:
        typer.echo("there are no such spans")
        return
    columns = {
        "number": "span_id",
        "watch": "device_id",
        "from (UTC)": "span_start",
        "to (UTC)": "span_end",
        "activity": "label",
        "annotator": "annotator",
        "answered (UTC)": "answered_at",
        "recorded by": "recorded_by",
    }
    output.print_table(list(columns), [[getattr(span, name) for name in columns.values()] for span in found])


@app.command("undo", epilog="Example: activity annotate spans undo 17 18")
def undo(
    numbers: list[int] = typer.Argument(
        None, min=1, max=2**63 - 1, help="Numbers of spans; none: what you recorded last here."
    ),
) -> None:
    """Undo spans, or all of your last import; what was there before counts again."""
    by = retraining.who()
    undone = store.transact(
        settings(),
        lambda connection: (
            spans.undo_spans(connection, numbers, by) if numbers else spans.undo_last(connection, by)
        ),
    )
    typer.echo(f"{undone:,} spans undone" if undone else "there is nothing to undo")
