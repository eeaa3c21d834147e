"""Spark groups panes as windows.grouping does, and windows of its groups have the same features, to the last bit."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from activitymodule.settings import Spark, Windows, build, resolve
from activitymodule.streaming.score import windows_of
from activitymodule.streaming.session import spark_session
from activitymodule.windows.assembling import assemble
from activitymodule.windows.features import features
from activitymodule.windows.grouping import SPARK_PANES, WINDOWS_SCHEMA, group_panes
from activitymodule.windows.panes import panes_of_readings

START_US = 1_700_000_000_000_000


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    if not any(resolve(Spark().jars).glob("spark-sql-kafka*.jar")):
        pytest.skip("Spark's jars are not there; run ./init.sh")
    folder = tmp_path_factory.mktemp("spark")
    environment = dict(os.environ)
    session = spark_session(
        build({"local": {"folder": str(folder)}, "spark": {"driver_memory": "1g"}}), "grouping"
    )
    yield session
    session.stop()
    os.environ.clear()
    os.environ.update(environment)


def readings(draw: np.random.Generator, n: int) -> pa.Table:
    stamps = START_US + np.sort(draw.choice(60_000, n, replace=False)) * 1_000
    motion = {
        name: draw.normal(size=n) for name in ("pitch", "roll", *(f"user_acceleration_{a}" for a in "xyz"))
    }
    columns = {
        name: np.where(draw.random(n) < 0.1, np.nan, values).astype(np.float32)
        for name, values in (motion | {"heart_rate": draw.normal(80, 5, n)}).items()
    }
    return pa.table(
        {
            "device_id": pa.array(draw.choice(["a", "b", "c"], n)),
            "stamp": pa.array(stamps, pa.timestamp("us", tz="UTC")),
            **{name: pa.array(values, from_pandas=True) for name, values in columns.items()},
        }
    )


@pytest.mark.integration
@pytest.mark.parametrize("slide", [10, 5])
def test_spark_groups_as_numpy_does(spark: Any, slide: int) -> None:
    """Readings in any order, some twice, packed by several batches; panes in any order and number of partitions."""
    settings = build({"windows": {"slide_seconds": slide}})
    draw = np.random.default_rng(slide)
    table = readings(draw, 900)
    expected = group_panes(panes_of_readings(table, slide), settings.windows)

    arrived = draw.permutation(np.concatenate([np.arange(900), np.flatnonzero(draw.random(900) < 0.2)]))
    parts = [panes_of_readings(table.take(pa.array(part)), slide) for part in np.array_split(arrived, 7)]
    panes = pa.concat_batches(parts)
    panes = panes.set_column(4, panes.schema.field(4), panes.column("stamp"))
    panes = panes.take(pa.array(draw.permutation(panes.num_rows)))
    frame = spark.createDataFrame(pa.Table.from_batches([panes]), SPARK_PANES).repartition(3)
    grouped = (
        windows_of(frame, settings)
        .toArrow()
        .sort_by([("device_id", "ascending"), ("window_us", "ascending")])
    )

    assert grouped.schema.names == WINDOWS_SCHEMA.names
    by_numpy = group_panes(panes, settings.windows)
    for name in ("device_id", "window_us", "n"):
        assert grouped.column(name).to_pylist() == by_numpy.column(name).to_pylist()
    newest = [
        us.cast(pa.int64()).to_pylist() for us in (grouped.column("kafka_at"), by_numpy.column("kafka_at"))
    ]
    assert newest[0] == newest[1]
    for mine, theirs in zip(
        by_numpy.column("panes").to_pylist(), grouped.column("panes").to_pylist(), strict=True
    ):
        assert sorted(mine) == sorted(theirs)
    assert (
        matrix(grouped, settings.windows)
        == matrix(by_numpy, settings.windows)
        == matrix(expected, settings.windows)
    )


def matrix(grouped: pa.Table | pa.RecordBatch, windows: Windows) -> bytes:
    batch = assemble(grouped.column("window_us").to_numpy(), grouped.column("panes"), windows)
    return features(batch, windows).tobytes()
