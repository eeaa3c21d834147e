"""The report: daily records -> features -> models trained and evaluated -> exports, metrics, figures and one page.

Everything comes from the settings `reports`. The same inputs give the same bytes: times are those of the data.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from activitymodule import __version__, files
from activitymodule.days.columns import COLUMNS
from activitymodule.days.derived import with_derived
from activitymodule.days.merging import merged
from activitymodule.errors import ConfigError, DataError, NotEnoughDataError
from activitymodule.lake import daily, history
from activitymodule.lake.exports import exports_folder
from activitymodule.lake.folder import LakeFolder
from activitymodule.settings import Settings, resolve
from activitymodule.synthesis.daily.records import HistoryRun, people_table
from activitymodule.workflows import day_history
from activitymodule.workflows.behaviour import personas, wearing, workouts
from activitymodule.workflows.behaviour.personas import PersonaOutcome
from activitymodule.workflows.behaviour.requests import DayTrainingRequest
from activitymodule.workflows.behaviour.wearing import WearOutcome
from activitymodule.workflows.behaviour.workouts import WorkoutOutcome
from activitymodule.workflows.reports import summaries
from activitymodule.workflows.reports.days import write_days
from activitymodule.workflows.reports.figures import draw_days
from activitymodule.workflows.reports.files import FEATURES, INDEX, INGESTION, NOT_TRAINED
from activitymodule.workflows.reports.metrics import write_metrics
from activitymodule.workflows.reports.page import write_page
from activitymodule.workflows.reports.personas import write_personas

FIRST_DAY = date(2026, 1, 1)
"""Of a synthetic history."""
_KEY = "inputs.json"
Say = Callable[[str], None]
T = TypeVar("T")


@dataclass(frozen=True)
class Report:
    """What was written. made : False where the inputs were those of the last report; skipped : model -> why it has
    no figures"""

    page: Path
    records: int
    people: int
    metrics: int
    made: bool
    skipped: Mapping[str, str]


@dataclass(frozen=True)
class _Trained:
    personas: PersonaOutcome | None
    workouts: Sequence[WorkoutOutcome]
    wearing: Sequence[WearOutcome]
    skipped: Mapping[str, str]


def build(config: Settings, *, force: bool = False, say: Say = lambda text: None) -> Report:
    """Make the report; nothing is done where its inputs are those of the last one.

    force : generate and train again whatever there is
    Raises ConfigError where it cannot be written, NotEnoughDataError where there are no daily records.
    """
    folder = resolve(config.reports.folder)
    source, records = _ingest(config, force, say)
    if not len(records):
        raise NotEnoughDataError(
            "there are no daily records yet; `activity days build` or `activity days import` makes them, and "
            "reports.source: synthetic reports on generated people"
        )
    key = _key(config, source)
    if not force and (found := _last(folder, key)) is not None:
        return found
    (folder / _KEY).unlink(missing_ok=True)  # a report that is begun and not ended is no report
    say(f"{len(records):,} daily records; training")
    with tempfile.TemporaryDirectory(prefix="activity-report-") as temporary:
        trained = _train(config, source, Path(temporary), say)
        _pictures(Path(temporary), folder / "figures")
    say("exports, metrics and figures")
    persona_of = write_personas(exports_folder(config), trained.personas) if trained.personas else {}
    days = with_derived(merged(records))
    write_days(exports_folder(config), days, persona_of)
    draw_days(exports_folder(config), folder / "figures" / "days.png")
    ingested = summaries.ingestion(records, days, source)
    _write_json(folder / INGESTION, {**_read_json(folder / INGESTION), "daily_records": ingested})
    features = summaries.features(days, trained.personas, trained.wearing)
    if trained.skipped:
        features[NOT_TRAINED] = dict(trained.skipped)
    _write_json(folder / FEATURES, features)
    metrics = summaries.metrics(trained.personas, trained.workouts, trained.wearing)
    write_metrics(folder, metrics)
    shown = {"Daily records": ingested} | {
        "Not trained" if name == NOT_TRAINED else f"Features: {name}": value
        for name, value in features.items()
    }
    write_page(folder, f"Report on daily records, {ingested['first']} to {ingested['last']}", shown, metrics)
    done = Report(
        folder / INDEX,
        len(records),
        len(pc.unique(records.column("participant"))),
        len(metrics),
        made=True,
        skipped=trained.skipped,
    )
    _write_json(
        folder / _KEY, {"inputs": key, **{k: v for k, v in asdict(done).items() if k not in ("page", "made")}}
    )
    return done


def _ingest(config: Settings, force: bool, say: Say) -> tuple[str, pa.Table]:
    """The folder of the lake with the daily records of the report, and the records; the history is generated where
    the lake does not have the one that the settings ask for."""
    if config.reports.source == "devices":
        return daily.DAILY, daily.read(config)
    wanted, records = config.reports, daily.read(config, folder=daily.HISTORY)
    if force or not _is_of(config, records):
        say(f"generating {wanted.days} days of {wanted.people:,} synthesised people")
        day_history.generate(
            config, people=wanted.people, days=wanted.days, seed=wanted.seed, start=FIRST_DAY
        )
        records = daily.read(config, folder=daily.HISTORY)
    return daily.HISTORY, records


def _is_of(config: Settings, records: pa.Table) -> bool:
    """Whether these are the records of the people and days that the settings ask for."""
    if not len(records):
        return False
    wanted, dates = config.reports, pc.min_max(records.column("date")).as_py()
    run = HistoryRun(wanted.people, wanted.days, wanted.seed, FIRST_DAY)
    try:
        people = history.read(config, history.PEOPLE)
    except DataError:
        return False
    ends = FIRST_DAY, FIRST_DAY + timedelta(wanted.days - 1)
    return (dates["min"], dates["max"]) == ends and people.equals(people_table(run))


def _key(config: Settings, source: str) -> str:
    """SHA-256 of everything the report is made from: code version, settings, and the files of the lake."""
    digest = hashlib.sha256(f"{__version__}\0{config.reports.model_dump_json()}".encode())
    digest.update("\0".join(column.name for column in COLUMNS).encode())
    lake = LakeFolder(config, source)
    with lake.explained():
        for month in daily.months(config, source):
            with lake.files.open_input_stream(f"{lake.base}/{month.place}") as opened:
                digest.update(hashlib.sha256(opened.read()).digest())
    return digest.hexdigest()


def _last(folder: Path, key: str) -> Report | None:
    kept = _read_json(folder / _KEY)
    if kept.pop("inputs", None) != key or not (folder / INDEX).is_file():
        return None
    return Report(page=folder / INDEX, made=False, **kept)  # type: ignore[arg-type]


def _train(config: Settings, source: str, models: Path, say: Say) -> _Trained:
    request = DayTrainingRequest(days=source, seed=config.reports.seed, folder=models)
    if source == daily.HISTORY:
        for place, name in ((history.PEOPLE, "people"), (history.TRUTH, "truth")):
            path = models / f"{name}.parquet"
            pa.parquet.write_table(history.read(config, place), path)
            request = replace(request, people=path) if name == "people" else replace(request, truth=path)
    skipped: dict[str, str] = {}

    def unless_few(name: str, train: Callable[[], T]) -> T | None:
        say(name)
        try:
            return train()
        except NotEnoughDataError as error:
            skipped[name] = str(error)
            return None

    found = unless_few("personas", lambda: personas.train(config, request))
    outcomes = unless_few("workouts", lambda: workouts.train(config, request, say=say)) or []
    wears = unless_few("retention", lambda: wearing.train(config, request, say=say)) or []
    skipped |= {f"workout {one.target}": one.skipped for one in outcomes if one.skipped}
    return _Trained(found, [one for one in outcomes if one.report], wears, skipped)


def _pictures(models: Path, folder: Path) -> None:
    """The pictures of the trained models, named by model; those of the last report go."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob("*.png"):
            old.unlink()
        seen: set[bytes] = set()
        for path in sorted(models.rglob("*.png"), reverse=True):
            kind, content = path.parent.parent.name, path.read_bytes()
            if content in seen:  # two models that were compared have the same picture
                continue
            seen.add(content)
            (folder / f"{kind}-{path.stem.replace('_', '-')}.png").write_bytes(content)
    except OSError as error:
        raise ConfigError(f"cannot write {folder}: {error.strerror or error}") from error


def _read_json(path: Path) -> dict[str, object]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write_json(path: Path, content: Mapping[str, object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_text(path, json.dumps(content, indent=2, sort_keys=True, default=str) + "\n")
