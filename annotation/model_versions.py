"""What the Models page shows of one version: its evaluation, its gate results, its lineage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Literal

from nicegui import ui
from pydantic import BaseModel, Field

from activitymodule.models.export import CARD_FILE, LINEAGE_FILE, METRICS_FILE, Card
from activitymodule.models.thresholds import Interval as Spread
from activitymodule.models.thresholds import Thresholds, read_thresholds
from activitymodule.registry.versions import ModelVersion
from activitymodule.store.promotions import Promotion
from annotation import charts, frame

_LONGEST_REASON = 500
_MOST_ROWS = 60
_HASH_CHARACTERS = 16


class Interval(BaseModel):
    """A figure over people."""

    low: float
    high: float


class LabelFigures(BaseModel):
    """Of one label."""

    precision: float | None = None
    recall: float | None = None
    f1: float | None = None
    windows: int = 0


class ReliabilityPoint(BaseModel):
    """One bin of a reliability diagram."""

    confidence: float
    accuracy: float
    windows: int


class Metrics(BaseModel):
    """The figures of metrics.json that are shown; those of an older or another kind of model are missing."""

    macro_f1: float | None = None
    macro_f1_over_people: Interval | None = None
    smoothed_macro_f1: float | None = None
    accuracy: float | None = None
    ece: float | None = None
    conformal_coverage: float | None = None
    confusion: list[list[int]] = []
    reliability: list[ReliabilityPoint] = []
    per_label: dict[str, LabelFigures] = {}
    mae: float | None = None
    rmse: float | None = None
    r2: float | None = None


class Source(BaseModel):
    """What a model was trained on."""

    source: str = "-"
    windows: int = 0
    people: int | str = "?"
    sha256: str = ""


class Hashed(BaseModel):
    """Something named by its SHA-256."""

    sha256: str = ""


class Code(BaseModel):
    """The code that trained a model."""

    version: str = ""
    revision: str | None = None


class Lineage(BaseModel):
    """The parts of lineage.json that are shown."""

    trained_at: str = "-"
    data: Source = Source()
    model: Hashed = Hashed()
    config: Hashed = Hashed()
    parents: dict[str, str] = Field(default_factory=dict)
    code: Code = Code()


@dataclass(frozen=True)
class Files:
    """The files of a version."""

    metrics: Metrics
    card: Card
    lineage: Lineage
    thresholds: Thresholds | None = None


def read_files(folder: Path) -> Files:
    """The files in the folder of a version."""
    return Files(
        Metrics.model_validate_json((folder / METRICS_FILE).read_text(encoding="utf-8")),
        Card.from_json((folder / CARD_FILE).read_text(encoding="utf-8")),
        Lineage.model_validate_json((folder / LINEAGE_FILE).read_text(encoding="utf-8")),
        read_thresholds(folder),
    )


def act_chip(act: str) -> str:
    """HTML of what was done with a version."""
    return frame.chip(act, _kind(act))


def _kind(act: str) -> Literal["good", "bad"]:
    return "bad" if act == "rejected" else "good"


def version_details(kind: str, version: ModelVersion, files: Files, history: list[Promotion]) -> None:
    """Everything about a version. kind : "activity" or "energy"; history : its promotions, newest first."""
    for entry in history[:3]:
        _decision(entry)
    if kind == "activity":
        _classifier(files)
    else:
        metrics = files.metrics
        frame.stats(
            [
                ("Mean absolute error", _number(metrics.mae), "kcal/min"),
                ("Root mean square error", _number(metrics.rmse), "kcal/min"),
                ("R²", _number(metrics.r2), "coefficient of determination"),
            ]
        )
    frame.heading("Lineage", 3)
    ui.html(_lineage(version, files), sanitize=False)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _classifier(files: Files) -> None:
    metrics = files.metrics
    over = metrics.macro_f1_over_people
    spread = f"{over.low:.3f} to {over.high:.3f} over people" if over else "on held-out people"
    frame.stats(
        [
            ("Macro-F1", _number(metrics.macro_f1), spread),
            ("Smoothed macro-F1", _number(metrics.smoothed_macro_f1), "over the last six windows"),
            ("Accuracy", _number(metrics.accuracy), "on held-out people"),
            ("Calibration error", _number(metrics.ece), "expected calibration error; 0 is perfect"),
            ("Conformal coverage", _number(metrics.conformal_coverage), "of the conformal sets"),
        ]
    )
    with ui.element("div").classes("two"):
        with ui.element("div"):
            frame.heading("Confusion matrix", 3)
            ui.html(
                charts.confusion(files.card.labels, metrics.confusion, title="Confusion matrix"),
                sanitize=False,
            )
        with ui.element("div"):
            frame.heading("Calibration", 3)
            points = [
                (one.confidence, one.accuracy, one.windows) for one in metrics.reliability if one.windows
            ]
            if points:
                ui.html(
                    charts.reliability(points, title="Reliability diagram: accuracy by confidence"),
                    sanitize=False,
                ).style("max-width: 340px")
            else:
                frame.text("This version has no reliability diagram.", "muted")
    if metrics.per_label:
        frame.table(
            ["Activity", "Precision", "Recall", "F1", "Windows"],
            [
                [
                    frame.activity_chip(label),
                    _number(one.precision),
                    _number(one.recall),
                    _number(one.f1),
                    f"{one.windows:,}",
                ]
                for label, one in metrics.per_label.items()
            ],
            numeric=frozenset({1, 2, 3, 4}),
        )

    if files.thresholds is not None:
        _thresholds(files.thresholds)


def _thresholds(found: Thresholds) -> None:
    """What confidence makes a prediction of each activity decided."""
    frame.heading("Decided predictions", 3)
    frame.text(
        f"From its least confidence on, a predicted activity is right in {found.target_precision:.0%} of the windows "
        f"of {found.people} held-out people. {found.decided:.0%} of all windows are decided."
    )
    frame.table(
        ["Activity", "Least confidence", "Precision", "95 % over people", "Recall", "95 % over people"],
        [
            [
                frame.activity_chip(label),
                f"{one.confidence:.2f}" if one.confidence is not None else "none is precise enough",
                _number(one.precision),
                _interval(one.precision_interval),
                _number(one.recall),
                _interval(one.recall_interval),
            ]
            for label, one in found.activities.items()
        ],
        numeric=frozenset({1, 2, 3, 4, 5}),
    )


def _interval(found: Spread | None) -> str:
    return "-" if found is None else f"{found.low:.3f} to {found.high:.3f}"


def _lineage(version: ModelVersion, files: Files) -> str:
    lineage, card = files.lineage, files.card
    data, code = lineage.data, lineage.code
    facts = [
        ("Trained", lineage.trained_at),
        ("Training data", f"{data.source}: {data.windows:,} windows of {data.people} people"),
        ("Snapshot hash", data.sha256[:_HASH_CHARACTERS]),
        ("Model hash", lineage.model.sha256[:_HASH_CHARACTERS]),
        ("Configuration hash", lineage.config.sha256[:_HASH_CHARACTERS]),
        ("Parent models", ", ".join(f"{name} {number}" for name, number in lineage.parents.items()) or "-"),
        ("Code", f"{code.version} ({code.revision or 'no revision'})"),
        ("Features", f"{len(card.feature_names)}, version {card.features_version}"),
        ("MLflow run", version.run_id[:_HASH_CHARACTERS]),
    ]
    return (
        '<dl class="facts">'
        + "".join(
            f'<dt>{escape(name)}</dt><dd class="mono small">{escape(str(value))}</dd>'
            for name, value in facts
        )
        + "</dl>"
    )


# ---- gate results ---------------------------------------------------------------------------------------------------


def _decision(entry: Promotion) -> None:
    """What was decided about a version and why, with the gate's figures."""
    frame.notice(
        f"{entry.act.capitalize()} on {entry.at:%Y-%m-%d %H:%M} UTC by {entry.by_whom}: {entry.why[:_LONGEST_REASON]}",
        _kind(entry.act),
    )
    rows = verdict_rows(entry.verdict)
    if rows:
        with ui.element("details"):
            ui.html("Gate results", tag="summary", sanitize=False)
            frame.table(["Figure", "Value"], rows)


def verdict_rows(verdict: Mapping[str, object]) -> list[list[str]]:
    """Figures of a verdict as table rows (HTML), nested ones by their path; at most sixty."""
    rows: list[list[str]] = []

    def walk(path: str, value: object) -> None:
        if len(rows) >= _MOST_ROWS or value is None:
            return
        if isinstance(value, Mapping):
            for key, one in value.items():
                walk(f"{path} {key}".strip(), one)
            return
        if isinstance(value, list):
            value = ", ".join(str(one) for one in value if not isinstance(one, dict | list))
        if value != "":
            text = f"{value:.4g}" if isinstance(value, float) else str(value)[:300]
            rows.append([escape(path.replace("_", " ")), escape(text)])

    walk("", verdict)
    return rows
