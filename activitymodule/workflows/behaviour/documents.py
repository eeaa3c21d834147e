"""The figures of docs/personas.md, made from the models themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from activitymodule import files
from activitymodule.behaviour import personas, sizes
from activitymodule.behaviour.figures import centroids_figure, cluster_counts_figure
from activitymodule.behaviour.person import ACTIVE_DAY, BEHAVIOUR, LEAST_DAYS, NAMES, SPAN_DAYS
from activitymodule.behaviour.persona_names import RULE
from activitymodule.settings import Settings, resolve
from activitymodule.workflows.behaviour import personas as persona_training
from activitymodule.workflows.behaviour import wearing, workouts
from activitymodule.workflows.behaviour.requests import (
    UNBOUNDED_TREES,
    DayTrainingRequest,
    DocumentBlock,
)

DOCUMENT = "docs/personas.md"
FIGURES = "docs/figures"

block = partial(files.with_block, made_by="activity behaviour document", document=DOCUMENT)


def write(
    config: Settings,
    request: DayTrainingRequest,
    *,
    only: frozenset[DocumentBlock] = frozenset(DocumentBlock),
    real: str | None,
    unbounded_trees: int = UNBOUNDED_TREES,
    most_people: int | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Path:
    """Evaluate models and write the document's blocks and pictures.

    only : the parts to write; real : recorded days, for calories; unbounded_trees, most_people : of the size study
    Raises DataError where the document lacks a block.
    """
    path, pictures = resolve(DOCUMENT), resolve(FIGURES)
    text = path.read_text(encoding="utf-8")
    text = block(text, "behaviour", behaviour_text())
    text = block(text, "names", RULE)
    if DocumentBlock.personas in only:
        say("personas")
        found = persona_training.train(config, request).report
        cluster_counts_figure(found, pictures / "personas-clusters.png")
        centroids_figure(found, pictures / "personas-centroids.png")
        text = block(text, "personas", personas_text(found))
    if DocumentBlock.workouts in only:
        outcomes = workouts.train(config, request, say=say)
        if real is not None:
            # as many folds as people: one person is left out at a time
            alone = replace(request, days=real, truth=None, people=None, folds=10_000)
            outcomes += [one for one in workouts.train(config, alone, say=say) if one.target == "calories"]
        text = block(text, "workouts", workouts_text(outcomes))
    if DocumentBlock.sizes in only:
        say("size study")
        study = workouts.size_study(
            config,
            request,
            unbounded_trees=unbounded_trees,
            most_people=most_people,
            figure=pictures / "forest-sizes.png",
            say=say,
        )
        text = block(text, "sizes", sizes_text(study))
    if DocumentBlock.retention in only:
        text = block(text, "retention", wearing_text(wearing.train(config, request, say=say)))
    files.write_text(path, text)
    return path


def table(columns: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """A table in Markdown."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def behaviour_text() -> str:
    """The six numbers of a person."""
    rows = [(f"`{one.name}`", one.unit or "-", one.meaning, one.formula) for one in BEHAVIOUR]
    return (
        table(("number", "unit", "meaning", "formula"), rows)
        + f"\n\n{ACTIVE_DAY} The last {SPAN_DAYS} days count; a person needs {LEAST_DAYS}."
    )


def personas_text(report: personas.PersonaReport) -> str:
    """Personas with their figures."""
    word = "synthetic" if report.synthetic else "recorded"
    counts = [
        (
            one.clusters,
            f"{one.silhouette.mean:.3f} ({one.silhouette.sd:.3f})",
            f"{one.inertia.mean:.0f} ({one.inertia.sd:.0f})",
        )
        for one in report.counts
    ]
    rows = [
        (
            one.name,
            f"{one.share:.0%}",
            *(f"{one.centroid[name]:.2f} ({one.scores[name]:+.1f})" for name in NAMES),
        )
        for one in report.personas
    ]
    parts = [
        f"{report.people:,} people, {word} days. {report.clusters} personas: silhouette {report.silhouette:.3f}; "
        f"{report.chosen()}. Stability over {personas.RESAMPLES} resamples of people: adjusted Rand "
        f"{report.stability.text()}.",
        table(
            ("personas", f"silhouette, mean (sd) over {personas.SEEDS} seeds", "inertia, mean (sd)"), counts
        ),
        table(("persona", "people", *NAMES), rows),
        "Medians of the people, in brackets the centroid in standard deviations from the mean person.",
    ]
    if report.planted is not None:
        parts.insert(1, f"Planted personas of the synthetic people: adjusted Rand {report.planted:.3f}.")
    return "\n\n".join(parts)


def workouts_text(outcomes: Sequence[workouts.WorkoutOutcome]) -> str:
    """Figures of workout models, a row a target, family and kind of data."""
    rows = [
        (
            f"workout {one.target}" if one.report.data == "synthetic" else one.target,
            one.report.data,
            one.report.family,
            f"{one.report.rows:,} of {one.report.people:,} people",
            one.report.folds,
            "; ".join(
                f"{name} {figure.text(3 if figure.value < 10 else 0)}"
                for name, figure in one.report.figures.items()
            ),
        )
        for one in outcomes
        if one.report is not None
    ]
    columns = ("model", "data", "family", "days", "folds", "on people held out (95 % over people)")
    return table(columns, rows)


def sizes_text(found: sizes.SizeStudy) -> str:
    """The size study."""
    told = "is" if found.passes else "is NOT"
    return (
        f"{found.rows:,} {found.data} days of {found.people:,} people, a fifth of them held out. The shipped forest "
        f"{told} below {sizes.LIMIT_MEGABYTES:g} MB and within {sizes.LEAST_R2_LOSS:g} of the unbounded one's R2.\n\n"
        + table(sizes.COLUMNS, found.table())
    )


def wearing_text(outcomes: Sequence[wearing.WearOutcome]) -> str:
    """Figures of wear retention."""
    first = outcomes[0].report
    rows = [
        (
            one.report.family,
            *(figure.text() for figure in one.report.figures.values()),
            f"{one.report.threshold.value:.3f}",
            f"{one.report.threshold.reached:.3f}",
        )
        for one in outcomes
    ]
    dropped = [(f"`{one.column}`", one.rule, one.reason) for one in first.dropped]
    parts = [
        f"{first.people:,} people, {first.data} days; {first.train:,} samples for training, {first.validation:,} for "
        f"validation, {first.test:,} for the test, of which {first.stop_rate:.1%} stop. Split {first.split}.",
        table(
            (
                "model",
                *first.figures,
                "threshold",
                f"its precision on validation (target {first.threshold.target:g})",
            ),
            rows,
        ),
        table(("dropped column", "rule", "reason"), dropped)
        if dropped
        else f"The leakage filter dropped none of the {len(first.columns)} columns.",
    ]
    return "\n\n".join(parts)
