"""What a local session leaves out of each micro-batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from activitymodule.settings import build
from activitymodule.streaming.session import spark_session


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("session")
    return spark_session(build({"local": {"folder": str(folder)}, "spark": {"driver_memory": "1g"}}), "tests")


@pytest.mark.integration
def test_files_are_written_without_a_second_one_and_an_old_checksum_goes(spark: Any, tmp_path: Path) -> None:
    spark.range(3).coalesce(1).write.json(str(tmp_path / "rows"))
    assert not list(tmp_path.rglob("*.crc"))
    assert spark.read.json(str(tmp_path / "rows")).count() == 3

    # as an earlier version left it beside a file that is written again
    (tmp_path / ".one.crc").write_bytes(b"of before")
    context = spark.sparkContext
    path = context._jvm.org.apache.hadoop.fs.Path(str(tmp_path / "one"))
    path.getFileSystem(context._jsc.hadoopConfiguration()).create(path).close()
    assert [file.name for file in tmp_path.iterdir() if file.is_file()] == ["one"]


@pytest.mark.integration
def test_what_the_state_store_sends_holds_no_settings_of_other_programs(spark: Any) -> None:
    sent = spark._jsparkSession.sessionState().newHadoopConf()
    names, entries = set(), sent.iterator()
    while entries.hasNext():
        names.add(entries.next().getKey())
    assert not [name for name in names if name.startswith("yarn.")]
    assert {"fs.defaultFS", "fs.file.impl", "mapreduce.outputcommitter.factory.scheme.s3a"} <= names
