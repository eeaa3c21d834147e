"""`activity statistics`: measure reference statistics; compare synthetic recordings with real ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from activitymodule import files
from activitymodule.jobs import options, output
from activitymodule.settings import settings
from activitymodule.workflows import statistics

SECTION = "Recordings"

app = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)


@app.command(epilog="Example: activity statistics measure wisdm:data/wisdm_watch.tar.gz --name wisdm")
def measure(
    what: str = typer.Argument(
        help="A prepared source (wisdm), a path of prepared Parquet, or SOURCE:PATH for its own files."
    ),
    people: str | None = typer.Option(None, help="Only these people: 1600,1601."),
    out: Path | None = typer.Option(
        None, help="The .parquet to write.  [default: lake/statistics/NAME.parquet]"
    ),
    name: str | None = typer.Option(None, help="Name of the statistics.  [default: that of the source]"),
    licence: str | None = typer.Option(None, help="Licence of the recordings, stored beside the statistics."),
    citation: str | None = typer.Option(None, help="The publication to cite for them."),
    as_json: bool = options.JSON,
) -> None:
    """Measure reference statistics: from recordings of real people to what synthesis needs of them.

    Each person and activity with at least 40 s becomes a profile. No reading is stored, and no value that fewer
    than five frames (of 1 or 2 s) support.
    """
    with _progress() as step:
        measured = statistics.measure(
            settings(),
            what,
            people=options.names_of(people),
            out=out,
            name=name,
            licence=licence,
            citation=citation,
            step=step,
        )
    if as_json:
        output.print_json(measured)
        return
    typer.echo(
        f"{measured.profiles} profiles of {measured.people} people, {len(measured.activities)} activities "
        f"-> {measured.path} ({measured.bytes / 1000:,.0f} kB)"
    )


@app.command(epilog="Example: activity statistics compare wisdm reference:wisdm --figure fidelity.png")
def compare(
    real: str = typer.Argument(help="Real recordings: as for `measure`."),
    synthetic: str = typer.Argument(help="reference:NAME or reference:PATH; or recordings as for `measure`."),
    people: str | None = typer.Option(None, help="Only these people of the real recordings."),
    seeds: int = typer.Option(3, min=1, help="How many times to synthesise."),
    jitter: bool = typer.Option(
        False, help="Devices that differ from the people, as a fleet's do, in place of the people themselves."
    ),
    json_: Path | None = typer.Option(None, "--json", help="Write all figures to this file; - is stdout."),
    figure: Path | None = typer.Option(None, help="Write a picture (PNG) to this file."),
) -> None:
    """Compare synthetic recordings with real ones: can they be distinguished, and do models transfer?

    Reference statistics are read from their file. People are split into four folds by the SHA-256 of their
    name; a fold that is left out is left out of the statistics.
    """
    with _progress() as step:
        comparison = statistics.compare(
            settings(),
            real,
            synthetic,
            people=options.names_of(people),
            seeds=seeds,
            jitter=jitter,
            figure=figure,
            step=step,
        )
    if json_ is not None and str(json_) == "-":
        output.print_json(comparison.document())
        return
    if json_ is not None:
        json_.parent.mkdir(parents=True, exist_ok=True)
        files.write_text(json_, output.json_line(comparison.document()) + "\n")
    output.print_table(
        ("measure", "synthetic: mean ± sd (range)", "real v. other real", "target", ""),
        [
            (
                line.name,
                str(line.value),
                "" if line.real is None else f"{line.real.mean:.3f}",
                "" if line.target is None else f"{line.sense} {line.target:g}",
                {None: "", True: "met", False: "not met"}[line.met],
            )
            for line in comparison.summary
        ],
    )


@contextmanager
def _progress() -> Iterator[Callable[[str, int], None]]:
    """Progress on stderr: call it before each step with what the step does, and with the number of steps."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("reading", total=None)
        done = 0

        def step(text: str, steps: int) -> None:
            nonlocal done
            bar.update(task, description=text, completed=done, total=steps)
            done += 1

        yield step
