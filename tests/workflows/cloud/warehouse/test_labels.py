"""Labels and model versions of a real store and registry, into a warehouse of each kind."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from lake_files import prediction_file
from own_settings import serve

from activitymodule.errors import StoreError
from activitymodule.lake.erasing import Eraser, Folder
from activitymodule.models.export import LINEAGE_FILE, METRICS_FILE, MODEL_FILE
from activitymodule.registry.versions import register
from activitymodule.settings import Settings
from activitymodule.store.connection import session
from activitymodule.store.erasures import begin, remove_from, tables, traces_of
from activitymodule.store.models import record_model_version
from activitymodule.store.participants import Wear, add, assign
from activitymodule.store.queries import fetch_value
from activitymodule.workflows.cloud.warehouse import contents, loading

pytestmark = pytest.mark.integration

MIDNIGHT = datetime(2026, 1, 5, tzinfo=UTC)
LABELS = ("annotations", "gold_labels")


@pytest.fixture
def with_topics() -> bool:
    return False


@pytest.fixture
def settings(fresh_settings: Settings, warehouse: Any) -> Settings:
    """A store and a registry of one's own, the lake and the warehouse of each kind."""
    return warehouse.with_lake(fresh_settings)


_ANSWER = """
INSERT INTO annotations (device_id, window_start, window_end, annotator, answer, label, undoes, origin, seconds, note,
                         stratum)
VALUES (%s, %s, %s, %s, %s, %s, %s, 'console', 1.5, 'it''s seen', 'audit') RETURNING annotation_id
"""


def answer(
    settings: Settings,
    number: int,
    label: str | None,
    *,
    by: str = "anna",
    device: str = "w-1",
    undoes: Any = None,
) -> int:
    start = MIDNIGHT + timedelta(seconds=10 * number)
    kind = "undo" if undoes else "label"
    with session(settings) as connection:
        values = (device, start, start + timedelta(seconds=10), by, kind, label, undoes)
        return int(fetch_value(connection, _ANSWER, values))


def load(settings: Settings, *names: str) -> dict[str, int]:
    """Part -> rows of it that were loaded."""
    report = loading.load(settings, names or LABELS)
    return {one.file.rpartition("/warehouse/")[2]: one.rows for one in report.loaded}


def test_labels_by_the_marks_of_their_days(settings: Settings, warehouse: Any) -> None:
    first = answer(settings, 0, "walking")
    answer(settings, 1, "sitting")
    answer(settings, 1, "walking", by="bert")
    answer(settings, 8640, "walking")
    assert load(settings) == {
        "annotations/2026-01-05.parquet": 3,
        "annotations/2026-01-06.parquet": 1,
        "gold_labels/2026-01-05.parquet": 2,
        "gold_labels/2026-01-06.parquet": 1,
    }
    assert warehouse.files() == [], "what was written to be loaded is gone"
    gold = "SELECT label, annotators, disputed FROM gold_labels ORDER BY window_start"
    assert warehouse.rows(gold) == [("walking", 1, False), (None, 2, True), ("walking", 1, False)]
    columns = set(warehouse.tables.columns("annotations"))
    assert columns >= {"annotation_id", "stratum", "label"}
    assert not columns & {"annotator", "note"}, "as dashboards: by neither names nor notes"
    assert load(settings) == {}
    # a later answer about a day of before, and one that is undone
    answer(settings, 1, "sitting", by="carl")
    assert set(load(settings)) == {"annotations/2026-01-05.parquet", "gold_labels/2026-01-05.parquet"}
    undo = answer(settings, 0, None, undoes=first)
    assert load(settings) == {"annotations/2026-01-05.parquet": 3, "gold_labels/2026-01-05.parquet": 1}
    assert warehouse.rows(f"SELECT * FROM annotations WHERE annotation_id IN ({first}, {undo})") == []
    assert warehouse.rows(gold)[0] == ("sitting", 3, False)
    lines = "SELECT line, rows_in_file, rows_loaded FROM activity_loads WHERE file LIKE '%annotations/2026-01-05%'"
    assert warehouse.rows(f"{lines} ORDER BY line") == [(1, 3, 3), (2, 4, 4), (3, 3, 3)]


def test_a_load_that_is_killed_between_the_file_and_its_load(settings: Settings, warehouse: Any) -> None:
    answer(settings, 0, "walking")
    warehouse.tables.fail_at = "INSERT INTO annotations"
    with pytest.raises(StoreError, match="told to fail"):
        load(settings)
    assert warehouse.files() == ["warehouse/annotations/2026-01-05.parquet"]
    answer(settings, 1, "sitting")
    assert load(settings, "annotations") == {"annotations/2026-01-05.parquet": 2}
    assert warehouse.rows("SELECT label FROM annotations ORDER BY label") == [("sitting",), ("walking",)]
    assert warehouse.files() == []


def test_an_erased_person(settings: Settings, warehouse: Any) -> None:
    """Of the store, and of a file that a killed load left."""
    with session(settings) as connection:
        add(connection, "p-1")
        assign(connection, Wear("p-1", "w-1", None, None))
    answer(settings, 0, "walking")
    answer(settings, 0, "sitting", device="w-2")
    answer(settings, 8640, "walking")
    load(settings)
    answer(settings, 1, "walking")
    warehouse.tables.fail_at = "INSERT INTO annotations"
    with pytest.raises(StoreError):
        load(settings)
    with session(settings) as connection:
        begin(connection, "p-1", "a test")
    with session(settings) as connection:
        traces = traces_of(connection, "p-1")
        for table in tables(connection):
            remove_from(connection, table, traces)
    folder = Folder(settings.lake.folder, "lake")
    assert [one.rows for one in Eraser(folder, traces, settings.telemetry).remove()] == [2]
    assert load(settings) == {
        "annotations/2026-01-05.parquet": 1,
        "annotations/2026-01-06.parquet": 0,
        "gold_labels/2026-01-05.parquet": 1,
        "gold_labels/2026-01-06.parquet": 0,
    }
    for name in LABELS:
        assert warehouse.rows(f"SELECT device_id FROM {name}") == [("w-2",)]
    assert load(settings) == {}
    assert warehouse.files() == []


def test_model_versions(settings: Settings, warehouse: Any, tmp_path: Path) -> None:
    name = settings.registry.classifier
    for file in (MODEL_FILE, LINEAGE_FILE, METRICS_FILE):
        (tmp_path / file).write_text("{}")
    version = register(settings, name, tmp_path, {}, tags={"data": "synthetic"})
    with session(settings) as connection:
        record_model_version(
            connection,
            name=name,
            version=version.version,
            labels=["walking", "sitting"],
            feature_version="f1",
        )
    assert load(settings, "model_versions") == {"model_versions.parquet": 1}
    query = (
        "SELECT name, version, data, feature_version, serves, refusal, sha256 IS NOT NULL FROM model_versions"
    )
    assert warehouse.rows(query) == [(name, "1", "synthetic", "f1", False, None, True)]
    assert load(settings, "model_versions") == {}
    serve(settings, version)
    register(settings, name, tmp_path, {})
    assert load(settings, "model_versions") == {"model_versions.parquet": 2}
    serving = "SELECT version, serves, len(CAST(labels AS VARCHAR)) > 2 FROM model_versions ORDER BY version"
    assert warehouse.rows(serving) == [("1", True, True), ("2", False, False)]


def test_all_of_it(settings: Settings, warehouse: Any) -> None:
    answer(settings, 0, "walking")
    warehouse.put(*prediction_file(date(2026, 1, 5), 3))
    report = loading.load(settings)
    assert [one.table for one in report.loaded] == [
        "predictions",
        "annotations",
        "gold_labels",
        "model_versions",
    ]
    ledger = "SELECT table_name, rows_in_file = rows_loaded FROM activity_loads ORDER BY table_name"
    assert warehouse.rows(ledger) == [(one, True) for one in sorted({*contents.CONTENTS} - {"daily"})]
    again = loading.load(settings)
    assert (again.loaded, again.kept) == ((), 4)
