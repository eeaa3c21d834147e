"""The Spark job that writes histories: the same bytes on any partitioning, and nothing is left of the run before."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pytest
from own_settings import replaced

from activitymodule.days.columns import SCHEMA
from activitymodule.lake import daily, history
from activitymodule.settings import Settings, build
from activitymodule.streaming.day_history import generate
from activitymodule.streaming.session import spark_session
from activitymodule.synthesis.daily.records import HistoryRun, record_table, truth_table

RUN = HistoryRun(9, 40, 5, date(2026, 1, 10))


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("history")
    return build({"local": {"folder": str(folder)}, "spark": {"driver_memory": "1g"}})


@pytest.fixture(scope="module")
def spark(settings: Settings) -> Any:
    return spark_session(settings, "tests")


def in_folder(settings: Settings, folder: Path) -> Settings:
    return replaced(settings, lake={"folder": str(folder)})


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.parquet")}


def test_neither_partitions_nor_the_engine_change_a_byte(
    spark: Any, settings: Settings, tmp_path: Path
) -> None:
    one, three = in_folder(settings, tmp_path / "one"), in_folder(settings, tmp_path / "three")
    made = generate(spark, one, RUN, 1)
    assert {str(month): rows for month, rows in made.items()} == {"2026-01": 9 * 22, "2026-02": 9 * 18}
    assert generate(spark, three, RUN, 3, "dbldatagen") == made
    written = files(tmp_path / "one")
    assert sorted(written) == [
        "history/year=2026/month=01/days.parquet",
        "history/year=2026/month=02/days.parquet",
    ]
    assert files(tmp_path / "three") == written
    table = daily.read(one, folder=daily.HISTORY)
    assert table.schema.equals(SCHEMA)
    assert table.equals(daily.in_order(record_table(RUN)))

    # a run of other days leaves nothing of this one
    later = HistoryRun(2, 5, 6, date(2026, 2, 1))
    generate(spark, one, later, 2)
    assert sorted(files(tmp_path / "one")) == ["history/year=2026/month=02/days.parquet"]
    assert pc.unique(daily.read(one, folder=daily.HISTORY)["participant"]).to_pylist() == [
        "person-00001",
        "person-00002",
    ]


def test_what_was_planted_lies_apart(settings: Settings, tmp_path: Path) -> None:
    own = in_folder(settings, tmp_path)
    truth = truth_table(RUN)
    history.write(own, history.TRUTH, truth)
    assert history.read(own, history.TRUTH).equals(truth)
    assert [str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*.parquet")] == [
        "history-truth/truth.parquet"
    ]
