"""`activity train`: learn an activity or an energy model from recordings, judge it honestly, and register it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import typer

from activitymodule import settings
from activitymodule.errors import ActivityError, ConfigError, DataError

if TYPE_CHECKING:
    from activitymodule.models.dataset import Mirror, TrainingWindows
    from activitymodule.models.training import ActivityTraining, EnergyTraining
    from activitymodule.registry.versions import ModelVersion

app = typer.Typer(add_completion=False, rich_markup_mode=None)

What = Literal["activity", "energy", "both"]

SYNTHETIC_DEVICES = 40
SYNTHETIC_MINUTES = 30
SYNTHETIC_FOLDS = 5


@dataclass(frozen=True)
class Request:
    """What to train, on what, and what to do with it; `folds` None: 10, or 5 for synthetic readings."""

    what: What = "both"
    data: str = "synthetic"
    seed: int = 1
    folds: int | None = None
    devices: int = SYNTHETIC_DEVICES
    minutes: int = SYNTHETIC_MINUTES
    families: tuple[str, ...] | None = None
    promote: bool = False
    never_promote: bool = False
    evaluate_only: bool = False
    if_missing: bool = False
    mirrored: bool = False
    folder: Path | None = None


@dataclass(frozen=True)
class Outcome:
    """What came of it for one model: its figures, and, where it was registered, its name and version."""

    kind: str
    data: str
    metrics: dict[str, Any]
    name: str | None = None
    version: str | None = None
    champion: bool = False
    folder: str | None = None


@contextmanager
def _quiet_or_progress(quiet: bool) -> Iterator[Callable[[str], Callable[[int, int], None]]]:
    """Progress on stderr: call the result with a description, and what that gives with (done, of)."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), disable=quiet) as bars:

        def begin(text: str) -> Callable[[int, int], None]:
            bar = bars.add_task(text, total=None)
            return lambda done, of: bars.update(bar, completed=done, total=of)

        yield begin


def load_windows(
    data: str,
    config: settings.Settings,
    *,
    devices: int = SYNTHETIC_DEVICES,
    minutes: int = SYNTHETIC_MINUTES,
    seed: int = 1,
    mirrors: Sequence[Mirror] = ((1, 1, 1),),
    progress: Callable[[int, int], None] | None = None,
) -> list[TrainingWindows]:
    """Windows of `synthetic`, of SOURCE:PATH, or of the Parquet at PATH (prepared readings, or a table of
    features): once for each of `mirrors`, which the acceleration is multiplied by.

    Readings are featurised part by part (some devices, a chunk of a recording, a file) and not kept, for they
    may be larger than memory. Raises DataError or ConfigError.
    """
    from activitymodule.models.dataset import concatenated, windows_of_readings, windows_of_table

    kept: list[list[TrainingWindows]] = [[] for _ in mirrors]
    for part in _parts(data, config, devices, minutes, seed, progress or (lambda done, of: None)):
        for windows, mirror in zip(kept, mirrors, strict=True):
            if "stamp" in part.readings.column_names:
                windows.append(windows_of_readings(part.readings, config.windows, part.people, mirror=mirror))
            else:
                windows.append(windows_of_table(part.readings))
    return [concatenated(windows) for windows in kept]


class _Part(NamedTuple):
    """Some of the training data: readings (or a table of features), and people where they are known apart."""

    readings: Any
    people: Any = None


def _parts(
    data: str,
    config: settings.Settings,
    devices: int,
    minutes: int,
    seed: int,
    progress: Callable[[int, int], None],
) -> Iterator[_Part]:
    if data == "synthetic":
        from activitymodule.synthesis.history import training_parts

        at_once = 4
        made = training_parts(
            devices, minutes, seed, reference=config.fleet.reference, devices_at_once=at_once
        )
        for k, part in enumerate(made, 1):
            yield _Part(part.readings, part.people)
            progress(min(k * at_once, devices), devices)
        return
    name, colon, path = data.partition(":")
    if not colon or "/" in name or Path(data).exists():
        yield from _parquet_parts(Path(data).expanduser(), progress)
        return

    from activitymodule.telemetry.sources import source_named

    source = source_named(name)
    units = source.scan(Path(path).expanduser())
    for k, unit in enumerate(units, 1):
        for chunk in source.read(unit):
            yield _Part(chunk.readings)
        progress(k, len(units))


def _parquet_parts(path: Path, progress: Callable[[int, int], None]) -> Iterator[_Part]:
    import pyarrow as pa
    import pyarrow.dataset as ds

    if not path.exists():
        raise DataError(
            f"there is no training data at {path}; give a Parquet file or folder, SOURCE:PATH or `synthetic`"
        )
    try:
        # partition values stay text: the person 007 is not the number 7
        first = next(path.rglob("*.parquet"), path) if path.is_dir() else path
        keys = [part.partition("=")[0] for part in first.relative_to(path).parts if "=" in part]
        partitioning = ds.partitioning(pa.schema([(key, pa.string()) for key in keys]), flavor="hive")
        dataset = ds.dataset(path, format="parquet", partitioning=partitioning)
        fragments = list(dataset.get_fragments())
        for k, fragment in enumerate(fragments, 1):
            yield _Part(fragment.to_table(schema=dataset.schema))
            progress(k, len(fragments))
    except (pa.ArrowInvalid, pa.ArrowTypeError, OSError) as error:
        raise DataError(f"{path} cannot be read as Parquet: {str(error).splitlines()[0]}") from None


def train(request: Request, config: settings.Settings, *, quiet: bool = True) -> list[Outcome]:
    """Train, judge and (unless only judged) register what is asked for; one outcome a model.

    The first version of a model becomes champion; a later one only where the request says `promote`.
    """
    from activitymodule.registry.versions import champion

    wanted: list[str] = ["activity", "energy"] if request.what == "both" else [request.what]
    names = {"activity": config.registry.classifier, "energy": config.registry.regressor}
    serving: dict[str, ModelVersion | None] = {}
    if not request.evaluate_only and request.folder is None:
        serving = {kind: champion(config, names[kind]) for kind in wanted}
        if request.if_missing:
            wanted = [kind for kind in wanted if serving[kind] is None]
    if not wanted:
        return []
    with _quiet_or_progress(quiet) as begin:
        return _train(request, config, wanted, names, serving, begin)


def _train(
    request: Request,
    config: settings.Settings,
    wanted: list[str],
    names: dict[str, str],
    serving: dict[str, Any],
    begin: Callable[[str], Callable[[int, int], None]],
) -> list[Outcome]:
    import numpy as np

    from activitymodule.models.dataset import AS_WORN, OTHER_WRIST
    from activitymodule.models.training import FOLDS, predicted_activities, train_activity, train_energy
    from activitymodule.windows.catalogue import MOTION_FAMILIES

    def load(data: str, *mirrors: Mirror) -> list[TrainingWindows]:
        what = "synthesising readings" if data == "synthetic" else f"reading {data}"
        return load_windows(
            data,
            config,
            devices=request.devices,
            minutes=request.minutes,
            seed=request.seed,
            mirrors=mirrors,
            progress=begin(what),
        )

    def folds(data: str) -> int:
        return request.folds or (SYNTHETIC_FOLDS if data == "synthetic" else FOLDS)

    origin = request.data
    data, *mirrored = load(origin, AS_WORN, *([OTHER_WRIST] if request.mirrored else []))
    outcomes = []
    classifier: ActivityTraining | None = None
    labels: tuple[str, ...] = ()
    held_out: np.ndarray | None = None
    rows = np.flatnonzero(data.activity != "")
    if "activity" in wanted:
        if not len(rows):
            raise DataError(f"no window of {origin} has a known activity; name a source with labels")
        learn = data.take(rows)
        classifier = trained = train_activity(
            learn,
            config,
            families=request.families or MOTION_FAMILIES,
            folds=folds(origin),
            seed=request.seed,
            evaluate_only=request.evaluate_only,
            mirrored=mirrored[0].take(rows) if mirrored else None,
            progress=begin("activity: people held out in turn"),
        )
        labels, held_out = trained.card.labels, np.full(len(data), "", object)
        held_out[rows] = trained.activities()
        outcomes.append(_finish_activity(request, config, trained, learn, origin, names, serving))
    if "energy" in wanted:
        rows = np.flatnonzero(np.isfinite(data.kcal_per_min))
        if not len(rows):
            if request.what == "energy":
                raise DataError(
                    f"no window of {origin} has a known energy; bring a column `kcal_per_min`, or `--data synthetic`"
                )
            # recordings of people rarely know the energy: the regressor then learns from synthesised people
            (data,), origin, held_out = load("synthetic", AS_WORN), "synthetic", None
            rows = np.flatnonzero(np.isfinite(data.kcal_per_min))
            if classifier is not None and classifier.pipeline is not None:
                # it has seen none of them
                held_out = predicted_activities(classifier.pipeline, classifier.card, data.features)
        if held_out is None:
            labels, held_out = _held_out_activities(data, config, folds(origin), request, begin)
        learn = data.take(rows)
        energy = train_energy(
            learn,
            None if held_out is None else held_out[rows],
            labels,
            config,
            folds=folds(origin),
            seed=request.seed,
            evaluate_only=request.evaluate_only,
            progress=begin("energy: people held out in turn"),
        )
        outcomes.append(_finish_energy(request, config, energy, learn, origin, names, serving))
    return outcomes


def _held_out_activities(
    data: TrainingWindows,
    config: settings.Settings,
    folds: int,
    request: Request,
    begin: Callable[[str], Any],
) -> tuple[tuple[str, ...], Any]:
    """Activities as a classifier that never saw the person predicts them, for the regressor to learn from."""
    import numpy as np

    from activitymodule.models.training import train_activity

    rows = np.flatnonzero(data.activity != "")
    if len(np.unique(data.activity[rows])) < 2:
        return (), None
    trained = train_activity(
        data.take(rows),
        config,
        folds=min(folds, 3),
        seed=request.seed,
        evaluate_only=True,
        progress=begin("activities for the energy model"),
    )
    activities = np.full(len(data), "", object)
    activities[rows] = trained.activities()
    return trained.card.labels, activities


def _finish_activity(
    request: Request,
    config: settings.Settings,
    trained: ActivityTraining,
    data: TrainingWindows,
    origin: str,
    names: dict[str, str],
    serving: dict[str, Any],
) -> Outcome:
    from activitymodule.models import figures
    from activitymodule.models.baseline import baseline_of, write_baseline

    def draw(folder: Path) -> None:
        import numpy as np

        write_baseline(
            folder, baseline_of(data.features, trained.probabilities, trained.card.labels, data.person)
        )
        counts = np.array(trained.report.confusion)
        figures.confusion_figure(counts, trained.card.labels, folder / "confusion_matrix.png")
        figures.reliability_figure(trained.probabilities, trained.truth, folder / "reliability.png")

    report = trained.report
    headline = {
        "accuracy": report.accuracy,
        "macro_f1": report.macro_f1,
        "ece": report.ece,
        "conformal_coverage": report.conformal_coverage,
        "smoothed_macro_f1": report.smoothed_macro_f1,
    }
    return _finish("activity", request, config, trained, data, origin, names, serving, headline, draw)


def _finish_energy(
    request: Request,
    config: settings.Settings,
    trained: EnergyTraining,
    data: TrainingWindows,
    origin: str,
    names: dict[str, str],
    serving: dict[str, Any],
) -> Outcome:
    from activitymodule.models import figures

    def draw(folder: Path) -> None:
        figures.energy_figure(trained.predicted, trained.truth, folder / "energy.png")

    report = trained.report
    headline = {"mae": report.mae, "rmse": report.rmse, "r2": report.r2, "mape": report.mape}
    return _finish("energy", request, config, trained, data, origin, names, serving, headline, draw)


def _finish(
    kind: str,
    request: Request,
    config: settings.Settings,
    trained: ActivityTraining | EnergyTraining,
    data: TrainingWindows,
    origin: str,
    names: dict[str, str],
    serving: dict[str, Any],
    headline: dict[str, float],
    draw: Callable[[Path], None],
) -> Outcome:
    """Write a trained model's folder, and register it where that is asked for."""
    from activitymodule.models.export import write_folder
    from activitymodule.registry.lineage import write_lineage
    from activitymodule.registry.versions import register, set_champion

    metrics = trained.report.as_json()
    pipeline = trained.pipeline
    if pipeline is None:
        return Outcome(kind, _public_name(origin), metrics)

    def write(folder: Path) -> None:
        sha256 = write_folder(folder, pipeline, trained.card, metrics, config.models)
        write_lineage(
            folder,
            data={
                "source": _public_name(origin),
                "sha256": data.sha256(),
                "windows": len(data),
                "people": metrics["people"],
                # how to make the same people again
                **(
                    {"devices": request.devices, "minutes": request.minutes, "seed": request.seed}
                    if origin == "synthetic"
                    else {}
                ),
            },
            config={
                "windows": config.windows.model_dump(),
                "models": config.models.model_dump(),
                "seed": request.seed,
                "folds": metrics["folds"],
                "parameters": pipeline["model"].get_params(),
            },
            model_sha256=sha256,
        )
        draw(folder)

    if request.folder is not None:
        folder = request.folder / kind
        folder.mkdir(parents=True, exist_ok=True)
        write(folder)
        return Outcome(kind, _public_name(origin), metrics, folder=str(folder))
    with tempfile.TemporaryDirectory(prefix="activity-model-") as temporary:
        write(Path(temporary))
        version = register(
            config,
            names[kind],
            Path(temporary),
            headline,
            parameters={"data": _public_name(origin), "seed": request.seed, "windows": len(data)},
            tags={"kind": kind, "data": _public_name(origin)},
        )
    promoted = not request.never_promote and (request.promote or serving.get(kind) is None)
    if promoted and request.promote:
        _promote(config, kind, version)
    elif promoted:
        set_champion(config, version)
    return Outcome(kind, _public_name(origin), metrics, version.name, version.version, promoted)


def _promote(config: settings.Settings, kind: str, version: ModelVersion) -> None:
    """A person made it serve, and that is recorded like every other promotion."""
    from activitymodule.jobs.models import promote_by_hand
    from activitymodule.store.retraining import who

    try:
        promote_by_hand(
            config, kind, version.version, by_whom=who(), why="trained with `activity train --promote`"
        )
    except ActivityError as error:
        kind_given = f" --kind {kind}" if kind == "energy" else ""
        raise type(error)(
            f"version {version.version} of {version.name} is registered and does not serve: {error}; then "
            f"`activity models promote {version.version}{kind_given}`"
        ) from error


def _public_name(data: str) -> str:
    """What the data is called in the registry: no folders of this machine."""
    source, colon, path = data.partition(":")
    return f"{source}:{Path(path).name}" if colon and "/" not in source else Path(data).name


def _lines(outcome: Outcome) -> Iterator[str]:
    m = outcome.metrics
    people = f"{m['people']} people, {m['windows']} windows, {m['folds']} folds of whole people"
    yield f"{outcome.kind} model on {outcome.data}: {people}"
    if outcome.kind == "activity":
        over, low_high = m["macro_f1_over_people"], "95 % of people resampled: {low:.3f} to {high:.3f}"
        yield f"  accuracy {m['accuracy']:.3f}, macro-F1 {m['macro_f1']:.3f} ({low_high.format(**over)})"
        yield f"  of each person: macro-F1 {over['mean']:.3f}, standard deviation {over['sd']:.3f}"
        yield f"  smoothed: accuracy {m['smoothed_accuracy']:.3f}, macro-F1 {m['smoothed_macro_f1']:.3f}"
        if m["mirrored_macro_f1"] is not None:
            yield f"  watches on the other wrist: macro-F1 {m['mirrored_macro_f1']:.3f}"
        yield f"  calibration error {m['ece']:.3f}"
        size = f"{m['conformal_set_size']:.2f} activities each"
        yield f"  conformal sets: {size}, with the truth in {m['conformal_coverage']:.1%} of them"
        yield "  F1: " + ", ".join(f"{label} {f['f1']:.3f}" for label, f in m["per_label"].items())
    else:
        over = m["mae_over_people"]
        interval = f"95 % of people resampled: {over['low']:.3f} to {over['high']:.3f}"
        yield f"  mean absolute error {m['mae']:.3f} kcal/min ({interval})"
        yield f"  root mean square error {m['rmse']:.3f}, R2 {m['r2']:.3f}, mean relative error {m['mape']:.1%}"
    if outcome.version:
        state = "champion" if outcome.champion else "registered; `activity models promote` makes it serve"
        yield f"  {outcome.name} version {outcome.version}: {state}"
    elif outcome.folder:
        yield f"  written to {outcome.folder}"


@app.command(
    epilog="Examples: activity train   |   activity train activity --data wisdm:recordings/wisdm_watch.tar.gz "
    "--evaluate-only --json   |   activity train energy --data windows.parquet --promote"
)
def main(
    what: What = typer.Argument("both", help="activity, energy or both."),
    data: str = typer.Option(
        "synthetic",
        help="synthetic (people made from the reference statistics), Parquet at a path (of `activity prepare`, or a "
        "table of features with kcal_per_min), or SOURCE:PATH such as wisdm:recordings.tar.gz.",
    ),
    seed: int = typer.Option(1, min=0, help="Same data, same seed: same model."),
    folds: int = typer.Option(
        None, min=2, help="Folds of whole people to judge it on.  [default: 10; 5 for synthetic]"
    ),
    devices: int = typer.Option(SYNTHETIC_DEVICES, min=2, help="Synthesised people."),
    minutes: int = typer.Option(SYNTHETIC_MINUTES, min=5, help="Minutes of each synthesised person."),
    families: str = typer.Option(
        None, help="Families of features of the classifier, a,b,c.  [default: those of the acceleration]"
    ),
    promote: bool = typer.Option(
        None, "--promote/--no-promote", help="Make it serve.  [default: only where nothing serves yet]"
    ),
    evaluate_only: bool = typer.Option(False, help="Only judge it: nothing is registered."),
    if_missing: bool = typer.Option(False, help="Do nothing for a model that has a champion."),
    mirrored: bool = typer.Option(False, help="Judge it on mirrored readings, too: the other wrist."),
    folder: Path = typer.Option(None, help="Write the model here and do not register it."),
    as_json: bool = typer.Option(False, "--json", help="Figures as JSON on stdout."),
) -> None:
    """Train an activity or energy model, judge it on people it has not seen, and register it.

    The first version of a model becomes champion; a later one with --promote (or `activity models promote`).
    """
    request = Request(
        what=what,
        data=data,
        seed=seed,
        folds=folds,
        devices=devices,
        minutes=minutes,
        families=_known_families(families),
        promote=bool(promote),
        never_promote=promote is False,
        evaluate_only=evaluate_only,
        if_missing=if_missing,
        mirrored=mirrored,
        folder=folder,
    )
    outcomes = train(request, settings.settings(), quiet=as_json)
    if as_json:
        typer.echo(json.dumps([asdict(outcome) for outcome in outcomes], indent=1))
        return
    for outcome in outcomes:
        for line in _lines(outcome):
            typer.echo(line)
    if not outcomes:
        typer.echo("every model has a champion already; nothing to train")


def _known_families(text: str | None) -> tuple[str, ...] | None:
    from activitymodule.windows.catalogue import FAMILIES

    if text is None:
        return None
    families = tuple(name.strip() for name in text.split(",") if name.strip())
    unknown = [name for name in families if name not in FAMILIES]
    if unknown or not families:
        raise ConfigError(
            f"{unknown[0] if unknown else 'nothing'} is no family of features; there are {', '.join(FAMILIES)}"
        )
    return families
