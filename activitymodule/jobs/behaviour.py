"""`activity behaviour`: models on daily records: personas, workouts, who stops wearing the watch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import typer

from activitymodule.behaviour import person as behaviour
from activitymodule.behaviour import personas as clusters
from activitymodule.behaviour import sizes as study
from activitymodule.jobs import options, output
from activitymodule.settings import settings
from activitymodule.workflows.behaviour import documents, keeping, personas, wearing, workouts
from activitymodule.workflows.behaviour.requests import (
    UNBOUNDED_TREES,
    DayModel,
    DayTrainingRequest,
    DocumentBlock,
)

SECTION = "Labels and models"

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Models on daily records: personas, type and calories of workouts, and who stops wearing the watch.",
    epilog="Example: activity behaviour train personas --days history   |   activity behaviour assign",
)

_DAYS = typer.Option(
    "daily",
    help="daily (watches and imports), history (synthesised people), Parquet at a path, or a table of days by a "
    "mapping, such as fitbit-daily:fitbit_daily.tar.gz.",
)
_PEOPLE = typer.Option(
    None, help="Parquet with body data: participant, age_years, sex, height_cm, weight_kg, ..."
)
_MOST_PEOPLE = typer.Option(
    None, min=10, help="Size study of so many people at the most, drawn at random; all by default."
)
_SEED = typer.Option(1, min=0, max=2**31 - 1, help="Same days, same seed: same model.")


@app.command(
    epilog="Examples: activity behaviour train personas --days history --clusters 5   |   activity behaviour train "
    "workouts --days daily --evaluate-only   |   activity behaviour train retention --days history --promote"
)
def train(
    what: DayModel = typer.Argument(
        ..., help="personas, workouts (type and calories) or retention (of wear)."
    ),
    days: str = _DAYS,
    truth: Path = typer.Option(None, help="Parquet with planted personas: participant, persona."),
    people: Path = _PEOPLE,
    seed: int = _SEED,
    clusters: str = typer.Option("5", help="Number of personas: 2 to 20, silhouette or elbow."),
    folds: int = typer.Option(
        DayTrainingRequest.folds,
        min=2,
        help="Cross-validation folds of whole people; as many as people: one each.",
    ),
    target_precision: float = typer.Option(
        DayTrainingRequest.target_precision,
        min=0.01,
        max=0.99,
        callback=options.finite,
        help="Precision that the threshold of wear retention is chosen for, on the validation part.",
    ),
    baseline: bool = typer.Option(
        True, help="Train MLlib's logistic regression beside LightGBM (starts Spark)."
    ),
    promote: bool = typer.Option(False, help="Make the versions champion; the first ones are anyway."),
    evaluate_only: bool = typer.Option(False, help="Only evaluate: register nothing."),
    folder: Path = typer.Option(None, help="Write the models to this folder and do not register them."),
    as_json: bool = options.JSON,
) -> None:
    """Train and evaluate models on daily records, and register them; figures of synthesised people say so."""
    request = DayTrainingRequest(
        days=days,
        truth=truth,
        people=people,
        seed=seed,
        clusters=clusters,
        folds=folds,
        target_precision=target_precision,
        baseline=baseline,
        promote=promote,
        evaluate_only=evaluate_only,
        folder=folder,
    )
    if what == "personas":
        outcome = personas.train(settings(), request)
        found: object = outcome
        lines = _personas(outcome)
    elif what == "workouts":
        trained = workouts.train(settings(), request, say=_say)
        found, lines = trained, _workouts(trained)
    else:
        judged = wearing.train(settings(), request, say=_say)
        found, lines = judged, _wearing(judged)
    if as_json:
        output.print_json(found)
        return
    for line in lines:
        typer.echo(line)


@app.command(epilog="Example: activity behaviour assign")
def assign(
    if_any: bool = typer.Option(False, help="Do nothing where there are no personas or no days yet."),
    as_json: bool = options.JSON,
) -> None:
    """Give every participant with enough daily records their persona, in the store; a DAG does so every night."""
    found = personas.assign_if_any(settings()) if if_any else personas.assign(settings())
    if found is None:
        typer.echo("there are no personas, or nobody has enough days yet; nothing was assigned", err=True)
        return
    if as_json:
        output.print_json(found)
        return
    typer.echo(f"personas version {found.model_version}: {found.people:,} people, {found.new:,} of them new")
    output.print_table(("persona", "people"), list(found.counts.items()))


@app.command("personas", epilog="Example: activity behaviour personas --csv")
def list_personas(
    persona: str = typer.Option(None, help="Only this one."),
    as_csv: bool = typer.Option(False, "--csv", help="Print CSV."),
    as_json: bool = options.JSON,
) -> None:
    """Who has which persona, and the behaviour it follows from."""
    found = personas.listed(settings(), persona)
    if as_json:
        output.print_json(found)
        return
    columns = ("participant", "persona", "distance", *behaviour.NAMES, "until_date", "model_version")
    rows = [
        (
            one.participant,
            one.persona,
            one.distance,
            *(getattr(one.behaviour, name) for name in behaviour.NAMES),
            one.until_date,
            one.model_version,
        )
        for one in found
    ]
    if as_csv:
        output.print_csv(columns, rows)
        return
    if not rows:
        typer.echo(
            "nobody has a persona yet; `activity behaviour train personas` and `activity behaviour assign`"
        )
        return
    output.print_table(columns, rows)


@app.command(epilog="Example: activity behaviour sizes --days history --figure sizes.png")
def sizes(
    days: str = typer.Option("history", help=_DAYS.help),
    people: Path = _PEOPLE,
    seed: int = _SEED,
    unbounded_trees: int = typer.Option(UNBOUNDED_TREES, min=1, help="Trees of the unbounded forest."),
    most_people: int = _MOST_PEOPLE,
    figure: Path = typer.Option(None, help="Write a picture."),
    as_json: bool = options.JSON,
) -> None:
    """Size study of the forest of calories: file, memory and time to load, accuracy; unbounded, pruned, shipped.

    Ends with code 1 where the shipped forest has 50 MB or more, or loses more than .01 of R2.
    """
    request = DayTrainingRequest(days=days, people=people, seed=seed)
    found = workouts.size_study(
        settings(),
        request,
        unbounded_trees=unbounded_trees,
        most_people=most_people,
        figure=figure,
        say=_say,
    )
    if as_json:
        output.print_json(found)
    else:
        typer.echo(f"{found.rows:,} {found.data} days of {found.people:,} people; a fifth of them held out")
        output.print_table(study.COLUMNS, found.table())
    if not found.passes:
        raise typer.Exit(1)


@app.command(
    epilog="Examples: activity behaviour document --days history --real fitbit-daily:fitbit_daily.tar.gz   |   "
    "activity behaviour document --days history --only sizes --unbounded-trees 400"
)
def document(
    days: str = typer.Option("history", help=_DAYS.help),
    truth: Path = typer.Option(None, help="Parquet with planted personas: participant, persona."),
    people: Path = _PEOPLE,
    real: str = typer.Option(None, help="Recorded days for calories, as --days."),
    seed: int = _SEED,
    unbounded_trees: int = typer.Option(
        UNBOUNDED_TREES, min=1, help="Trees of the unbounded forest of the size study."
    ),
    most_people: int = _MOST_PEOPLE,
    only: list[DocumentBlock] = typer.Option(None, help="Only this part; may be repeated. All by default."),
) -> None:
    """Write the figures of docs/personas.md: the models are evaluated only."""
    request = DayTrainingRequest(days=days, truth=truth, people=people, seed=seed, evaluate_only=True)
    path = documents.write(
        settings(),
        request,
        only=frozenset(only or DocumentBlock),
        real=real,
        unbounded_trees=unbounded_trees,
        most_people=most_people,
        say=_say,
    )
    typer.echo(f"{path}: written")


def _say(text: str) -> None:
    typer.echo(text, err=True)


def _personas(outcome: personas.PersonaOutcome) -> Iterator[str]:
    report = outcome.report
    yield f"{report.clusters} personas of {report.people:,} people, {_word(report.synthetic)} days"
    yield f"  silhouette {report.silhouette:.3f}; {report.chosen()}"
    yield f"  stability over {clusters.RESAMPLES} resamples: adjusted Rand {report.stability.text()}"
    if report.planted is not None:
        yield f"  planted personas of synthetic people recovered: adjusted Rand {report.planted:.3f}"
    for one in report.personas:
        yield f"  {one.name}: {one.people:,} people ({one.share:.0%})"
    yield from _kept(outcome.kept)


def _workouts(outcomes: list[workouts.WorkoutOutcome]) -> Iterator[str]:
    for one in outcomes:
        if one.report is None or one.kept is None:
            yield f"workout {one.target}: not trained: {one.skipped}"
            continue
        figures = ", ".join(f"{name} {figure.text()}" for name, figure in one.report.figures.items())
        yield f"workout {one.target}, {one.report.family}, {one.report.data} days: {figures}"
        yield f"  {one.report.rows:,} days of {one.report.people:,} people, {one.report.folds} folds of whole people"
        yield from _kept(one.kept)


def _wearing(outcomes: list[wearing.WearOutcome]) -> Iterator[str]:
    for one in outcomes:
        report = one.report
        figures = ", ".join(f"{name} {figure.text()}" for name, figure in report.figures.items())
        yield f"wear retention, {report.family}, {report.data} days: {figures}"
        yield f"  split {report.split}"
        limit = report.threshold
        yield (
            f"  threshold {limit.value:.3f}, chosen for a precision of {limit.target:g} on the validation part, where "
            f"it reaches {limit.reached:.3f}; {report.stop_rate:.1%} of the test samples stop"
        )
        yield from _kept(one.kept)
    for dropped in outcomes[0].report.dropped:
        yield f"  dropped {dropped.column}: {dropped.rule}: {dropped.reason}"
    if not outcomes[0].report.dropped:
        yield f"  no column was dropped by the leakage filter ({len(outcomes[0].report.columns)} are used)"


def _kept(kept: keeping.Kept) -> Iterator[str]:
    if kept.folder is not None:
        yield f"  written to {kept.folder}"
    elif kept.version is not None:
        yield f"  {kept.kind} version {kept.version}" + (", champion" if kept.champion else "")


def _word(synthetic: bool) -> str:
    return "synthetic" if synthetic else "recorded"
