"""When the open windows of the watches do not fit into Java's memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from own_settings import replaced

from activitymodule.errors import JavaEndedError
from activitymodule.settings import Settings
from activitymodule.streaming.state_size import heap_bytes, state_bytes, warning

# a state as that of the stream: lists of what came, until the heap is full
FILLS_THE_HEAP = """
import sys
from activitymodule.errors import ActivityError
from activitymodule.settings import build
from activitymodule.streaming.session import spark_session
from activitymodule.streaming.spark_errors import explained_spark

config = build({"local": {"folder": sys.argv[1]}, "spark": {"driver_memory": "600m", "master": "local[1]"}})
try:
    with explained_spark(config):
        rows = spark_session(config, "small").range(9000).selectExpr("id % 7 AS k", "repeat('x', 200000) AS v")
        rows.groupBy("k").agg({"v": "collect_list"}).selectExpr("size(`collect_list(v)`)").collect()
except ActivityError as error:
    print(error, file=sys.stderr)
    sys.exit(error.exit_code)
"""


@pytest.mark.integration  # it takes some seconds
def test_java_without_memory_ends_with_its_own_error_and_the_settings_that_help(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FILLS_THE_HEAP, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == JavaEndedError.exit_code, done.stderr
    (sentence,) = done.stderr.splitlines()
    assert done.stdout == ""
    assert "OutOfMemoryError: Java heap space" in sentence
    for setting in ("spark.driver_memory (now 600m)", "spark.state_store", "windows.watermark_minutes"):
        assert setting in sentence


@pytest.mark.parametrize(
    ("text", "expected"),
    [("3g", 3 << 30), ("512M", 512 << 20), ("2048mb", 2 << 30), ("1t", 1 << 40), ("", 1 << 30)],
)
def test_the_heap_by_its_setting(text: str, expected: int) -> None:
    assert heap_bytes(replaced(Settings(), spark={"driver_memory": text})) == expected


def test_more_watches_than_the_heap_holds_are_warned_of() -> None:
    config = replaced(Settings(), windows={"watermark_minutes": 10}, spark={"driver_memory": "3g"})
    assert state_bytes(config, 10_000) == pytest.approx(10_000 * 61 * 4_800)
    assert warning(config, 1_000) is None
    assert "10,000 watches" in str(warning(config, 10_000))
    assert warning(replaced(config, spark={"state_store": "rocksdb"}), 10_000) is None
    assert warning(replaced(config, spark={"driver_memory": "8g"}), 10_000) is None
