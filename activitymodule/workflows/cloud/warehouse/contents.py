"""What is loaded: daily records and predictions as the lake has them, and labels and model versions, of the store and
the registry, as Parquet files that are there until they are loaded.

A part is due where its mark is not that of the ledger: of a file its ETag (or size and time), of a day of labels the
store's count and hash of its rows, of the model versions the hash of all.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import pyarrow as pa

from activitymodule.days import columns as days
from activitymodule.lake import predictions
from activitymodule.lake.folder import LakeFolder
from activitymodule.registry.versions import DIGEST, ModelVersion, versions
from activitymodule.serving.exports import sha256_of
from activitymodule.serving.record import names, promoted
from activitymodule.settings import Settings
from activitymodule.store import label_days
from activitymodule.store.connection import session
from activitymodule.store.label_days import ANNOTATIONS, COLUMNS, GOLD_LABELS
from activitymodule.store.model_checks import newest_checks
from activitymodule.store.models import ModelLabels, recorded_labels
from activitymodule.workflows.cloud.warehouse.tables import TIME, Due, Marks, Part, Table

STAGING = "warehouse"
"""The folder of the lake for what is written to be loaded; what is left there after a kill is written again."""
MODEL_VERSIONS = "model_versions"

Parts = Callable[[Settings, Table, Marks, Due], Sequence[Part]]
"""All parts that a table has now; those that are due are there as files afterwards."""

_LABEL_TYPES: dict[str, pa.DataType] = {
    **dict.fromkeys(("annotation_id",), pa.int64()),
    **dict.fromkeys(("annotators",), pa.int32()),
    **dict.fromkeys(("adjudicates", "adjudicated", "disputed", "model_hidden"), pa.bool_()),
    **dict.fromkeys(("seconds",), pa.float32()),
    **dict.fromkeys(
        ("window_start", "window_end", "created_at", "imported_at", "labelled_at", "answered_at"), TIME
    ),
}
_VERSIONS = pa.schema(
    [
        *((name, pa.string()) for name in ("name", "version")),
        ("created_at", TIME),
        *((name, pa.string()) for name in ("data", "run_id", "sha256", "feature_version", "refusal")),
        *((name, pa.list_(pa.string())) for name in ("aliases", "labels")),
        ("serves", pa.bool_()),
    ]
)


def _of_lake(config: Settings, table: Table, marks: Marks, due: Due) -> list[Part]:  # noqa: ARG001 (as Parts)
    found = marks(table.name)
    return [Part(name, mark) for name, mark in sorted(found.items()) if table.place.fullmatch(name)]


def _of_days(config: Settings, table: Table, marks: Marks, due: Due) -> list[Part]:  # noqa: ARG001 (as Parts)
    """A part for each day of labels. Marks and rows are of one moment."""
    with session(config, read_only=True) as connection:
        label_days.as_of_one_moment(connection)
        found = {
            day: Part(f"{STAGING}/{table.name}/{day}.parquet", mark)
            for day, mark in label_days.marks(connection, table.name).items()
        }
        asked = [day for day, part in found.items() if due(part)]
        for day, rows in label_days.rows(connection, table.name, asked) if asked else ():
            _write(config, table, found[day].name, rows)
    return list(found.values())


def _of_registry(config: Settings, table: Table, marks: Marks, due: Due) -> list[Part]:  # noqa: ARG001 (as Parts)
    """One part: a row for each version of each model."""
    known = list(names(config).values())
    with session(config, read_only=True) as connection:
        labels = {(one.name, one.version): one for one in recorded_labels(connection)}
        refusals = {(one.name, one.version): one.refusal for one in newest_checks(connection, known)}
        served = {name: promoted(connection, config, name) for name in known}
    serving = {(name, found[-1].version) for name, found in served.items() if found}
    rows = [
        _row(one, labels.get(key), refusals.get(key), serves=key in serving)
        for name in known
        for one in sorted(versions(config, name), key=lambda one: int(one.version))
        for key in ((one.name, one.version),)
    ]
    mark = sha256_of(json.dumps(rows, default=str).encode())
    part = Part(f"{STAGING}/{table.name}.parquet", mark)
    if due(part):
        _write(config, table, part.name, rows)
    return [part]


def _row(
    version: ModelVersion, labels: ModelLabels | None, refusal: str | None, *, serves: bool
) -> tuple[object, ...]:
    """In the order of _VERSIONS."""
    return (
        *(version.name, version.version, version.created_at),
        *(version.tags.get("data"), version.run_id, version.tags.get(DIGEST)),
        *(labels.feature_version if labels else None, refusal),
        *(list(version.aliases), list(labels.labels) if labels else []),
        serves,
    )


def _write(config: Settings, table: Table, name: str, rows: Iterable[Sequence[object]]) -> None:
    """Write a part; it appears whole or not at all."""
    columns = list(zip(*rows, strict=True)) or [()] * len(table.schema)
    arrays = [pa.array(column, one.type) for column, one in zip(columns, table.schema, strict=True)]
    lake, path = _staged(config, name)
    with lake.explained():
        lake.write_table(path, pa.table(arrays, schema=table.schema))


def _staged(config: Settings, name: str) -> tuple[LakeFolder, str]:
    """Where a part lies that is written to be loaded."""
    lake = LakeFolder(config, STAGING)
    return lake, f"{lake.base}/{name.removeprefix(f'{STAGING}/')}"


def loaded(config: Settings, part: Part) -> None:
    """A part is in the warehouse, or gone: what was written for it is deleted."""
    if not part.name.startswith(f"{STAGING}/"):
        return
    lake, path = _staged(config, part.name)
    with lake.explained():
        if lake.is_file(path):
            lake.files.delete_file(path)


@dataclass(frozen=True)
class Content:
    """A table with what it is made of."""

    table: Table
    parts: Parts


def _daily(name: str) -> re.Pattern[str]:
    return re.compile(rf"{name}/(\d{{4}})-(\d\d)-(\d\d)\.parquet")


def _labels(kind: str) -> Table:
    schema = pa.schema([(name, _LABEL_TYPES.get(name, pa.string())) for name in COLUMNS[kind]])
    return Table(kind, schema, "window_start", _daily(f"{STAGING}/{kind}"))


CONTENTS = {
    one.table.name: one
    for one in (
        Content(
            Table("daily", days.SCHEMA, "date", re.compile(r"daily/year=(\d{4})/month=(\d\d)/days\.parquet")),
            _of_lake,
        ),
        Content(
            Table(
                "predictions",
                predictions.SCHEMA,
                "window_start",
                re.compile(r"predictions/date=(\d{4})-(\d\d)-(\d\d)/predictions\.parquet"),
            ),
            _of_lake,
        ),
        Content(_labels(ANNOTATIONS), _of_days),
        Content(_labels(GOLD_LABELS), _of_days),
        Content(
            Table(MODEL_VERSIONS, _VERSIONS, None, re.compile(rf"{STAGING}/{MODEL_VERSIONS}\.parquet")),
            _of_registry,
        ),
    )
}
"""By the name of the table, in the order in which they are loaded."""
