"""`activity history`: generate daily records of synthesised people; compare them with those of real ones."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import typer

from activitymodule import files
from activitymodule.jobs import options, output
from activitymodule.settings import settings
from activitymodule.statistics.fidelity import report
from activitymodule.workflows import day_history, day_history_figure

SECTION = "People and days"

app = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)


@app.command(epilog="Example: activity history generate --people 1959 --days 183 --seed 1")
def generate(
    people: int = typer.Option(1959, min=1, max=1_000_000, help="How many people."),
    days: int = typer.Option(183, min=1, max=3660, help="How many days of each."),
    seed: int = typer.Option(1, min=0, max=2**31 - 1, help="The same seed makes the same records."),
    start: datetime = typer.Option("2026-01-01", formats=["%Y-%m-%d"], help="The first local date."),
    engine: str | None = typer.Option(None, help="dbldatagen or spark: the same records (fleet.engine)."),
    as_json: bool = options.JSON,
) -> None:
    """Generate daily records of synthesised people into lake/history, in place of those that are there.

    Who they are is in lake/history-people, what was planted (personas, stops) in lake/history-truth.
    """
    made = day_history.generate(
        settings(), people=people, days=days, seed=seed, start=start.date(), engine=engine
    )
    if as_json:
        output.print_json(made)
        return
    typer.echo(
        f"{made.records:,} daily records of {made.people:,} synthesised people, {made.first} to {made.last}, "
        f"in {made.seconds:.0f} s; {made.stopped:,} stopped wearing their watch"
    )


@app.command(epilog="Example: activity history compare --real fitbit_daily.tar.gz --map fitbit-daily")
def compare(
    real: Path = typer.Option(..., help="A table of real people's days: a file, folder, zip or tar."),
    mapping: str = typer.Option(
        "fitbit-daily", "--map", help="What its columns are; a YAML file, or the name of a shipped mapping."
    ),
    seeds: int = typer.Option(10, min=1, max=1000, help="How many times to synthesise."),
    figure: Path | None = typer.Option(None, help="Write a picture (PNG) to this file."),
    json_: Path | None = typer.Option(None, "--json", help="Write all figures to this file; - is stdout."),
) -> None:
    """Compare synthesised days with real ones: distributions, autocorrelation, weekdays, and a two-sample classifier.

    Each real person has a synthesised one with the same dates. People are dealt into two halves by the SHA-256 of
    their name: the generator may be tuned on the first, the second is reported.
    """
    found = day_history.compare_with(real, mapping, seeds=seeds)
    if figure is not None:
        day_history_figure.draw(found, figure)
    if json_ is not None and str(json_) == "-":
        output.print_json(found.comparison)
        return
    if json_ is not None:
        files.write_text(json_, output.json_line(found.comparison) + "\n")
    whole = found.comparison
    typer.echo(
        f"{sum(whole.people)} real people, {sum(whole.days):,} days: tuned on {whole.people[0]}, "
        f"reported {whole.people[1]}; synthetic: mean ± SD over {whole.seeds} seeds\n"
    )
    output.print_table(
        ("figure", "real, tuned on", "real, reported", "synthetic"),
        [
            (
                one.name,
                _number(one.tuned),
                _number(one.reported),
                f"{_number(one.synthetic.mean)} ± {_number(one.synthetic.sd, one.synthetic.mean)}",
            )
            for one in whole.portrait
        ],
    )
    typer.echo("")
    output.print_table(
        ("difference", "synthetic v. reported", "synthetic v. tuned on", "real v. real"),
        [
            (
                one.name,
                _over_seeds(one.reported),
                _over_seeds(one.tuned),
                f"{one.real:.3f}",
            )
            for one in whole.measures
        ],
    )


def _over_seeds(value: report.Spread) -> str:
    return f"{value.mean:.3f}" if value.n == 1 else f"{value.mean:.3f} ± {value.sd:.3f}"


def _number(value: float, beside: float | None = None) -> str:
    """With the decimals that its size, or that of the number beside it, deserves."""
    return f"{value:,.{0 if abs(beside or value) >= 20 else 3}f}"
