"""Files that are damaged or of another kind: an error names the file, and nothing is lost without a count."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from damage import damaged, named
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from activitymodule.errors import ConfigError, DataError
from activitymodule.lake.preprocess import cleaned
from activitymodule.statistics.recordings import read as read_recordings
from activitymodule.statistics.reference import SHIPPED, ReferenceStatistics
from activitymodule.telemetry import recordings
from activitymodule.telemetry.sources import Ledger, source_named
from activitymodule.telemetry.sources.arwise import _CHANNELS, STEPS
from activitymodule.telemetry.untrusted import UnusableError, is_number, is_text, parse_json
from activitymodule.workflows.training_data import _parquet_parts

WISDM = b"".join(b"1700,%c,%d.5,3.25,9.5;\n" % (65 + i // 20, i % 3) for i in range(80))
CASAS = (
    b"stamp,pitch,user_acceleration_x,heart_rate,latitude,battery_state,user_activity_label\ndt,f,f,f,f,s,s\n"
    + b"".join(
        b"2026-01-01 10:00:%02d.%d,0.1,0.%d,70,46.7,full,%s\n"
        % (i // 10, i % 10, i % 7, b"Walk" if i == 30 else b"")
        for i in range(60)
    )
)
ARWISE = (
    ",".join(["stamp", "activity_label", *(f"{c}_{s + 1}" for s in range(STEPS) for c in _CHANNELS)]) + "\n"
    + "".join(f"2026-01-01 10:00:{10 * i:02d},Walk," + ",".join(["0.5"] * 600) + "\n" for i in range(3))
).encode()  # fmt: skip
SAMPLES = {
    "wisdm": ("data_1700_accel_watch.txt", WISDM),
    "casas": ("p1.csv", CASAS),
    "arwise": ("p3_train.csv", ARWISE),
}
ONE_FOLDER = {"max_examples": 120, "suppress_health_check": [HealthCheck.function_scoped_fixture]}


def ledger_of(source: str, path: Path) -> Ledger:
    total = Ledger()
    for unit in source_named(source).scan(path):
        for chunk in source_named(source).read(unit):
            total += cleaned(chunk).ledger
            assert len(chunk.readings) >= 0
    return total


@pytest.mark.parametrize("source", SAMPLES)
def test_the_samples_themselves_are_read(source: str, tmp_path: Path) -> None:
    name, sample = SAMPLES[source]
    (tmp_path / name).write_bytes(sample)
    assert ledger_of(source, tmp_path).readings > 0


def test_a_row_of_another_length_and_encoding_is_counted(tmp_path: Path) -> None:
    lines = CASAS.splitlines(keepends=True)
    (tmp_path / "p1.csv").write_bytes(
        b"".join([*lines[:10], b"cut \xff\xfe,off\n", "é,ü\n".encode(), *lines[10:]])
    )
    ledger = ledger_of("casas", tmp_path)
    assert (ledger.rows, ledger.removed) == (62, {"malformed_row": 2})


@pytest.mark.parametrize("source", SAMPLES)
@given(data=st.data())
@hypothesis_settings(**ONE_FOLDER)
def test_of_a_damaged_recording_every_row_is_accounted_for(
    source: str, tmp_path: Path, data: st.DataObject
) -> None:
    name, sample = SAMPLES[source]
    (tmp_path / name).write_bytes(data.draw(damaged(sample)))
    with named(tmp_path):
        assert ledger_of(source, tmp_path).balanced


@given(data=st.data())
@hypothesis_settings(**ONE_FOLDER)
def test_a_damaged_archive_is_named(tmp_path: Path, data: st.DataObject) -> None:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        info = tarfile.TarInfo("data_1700_accel_watch.txt")
        info.size = len(WISDM)
        archive.addfile(info, io.BytesIO(WISDM))
    path = tmp_path / "wisdm.tar.gz"
    path.write_bytes(data.draw(damaged(content.getvalue())))
    with named(path):
        assert ledger_of("wisdm", path).balanced


def test_a_truncated_gz_is_named(tmp_path: Path) -> None:
    path = tmp_path / "wisdm.tar.gz"
    path.write_bytes(gzip.compress(WISDM * 20)[:-50])
    with pytest.raises(DataError, match=r"wisdm\.tar\.gz"):
        source_named("wisdm").scan(path)


def _replayed(path: Path) -> None:
    found = recordings.find(str(path), path)
    found.longest_us(10_000_000)
    list(found.schedule(None, 10_000_000, 10))


READERS: dict[str, Callable[[Path], object]] = {
    "replay": _replayed,
    "training": lambda path: list(_parquet_parts(path, lambda done, of: None)),
    "statistics": lambda path: read_recordings(str(path), path),
}


def parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


OTHER = parquet(pa.table({"stamp": ["tea time"], "device_id": [7]}))


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    "content", [b"", b"PAR1", b"PAR1" * 3, OTHER[:-20], OTHER, b"no parquet" * 9], ids=len
)
def test_parquet_that_is_none_or_of_another_schema_is_named(
    reader: str, content: bytes, tmp_path: Path
) -> None:
    day = tmp_path / "prepared" / "person=007" / "date=2026-01-01"
    day.mkdir(parents=True)
    (day / "part.parquet").write_bytes(content)
    if reader == "training" and content == OTHER:
        return  # the next step names the missing column
    with pytest.raises((ConfigError, DataError), match="prepared"):
        READERS[reader](tmp_path / "prepared")


@given(data=st.data(), note=st.booleans())
@hypothesis_settings(**(ONE_FOLDER | {"max_examples": 60}))
def test_damaged_reference_statistics_are_named(tmp_path: Path, data: st.DataObject, note: bool) -> None:
    path = tmp_path / "mine.parquet"
    for ending in (".parquet", ".json"):
        path.with_suffix(ending).write_bytes((SHIPPED / f"wisdm{ending}").read_bytes())
    hit = path.with_suffix(".json") if note else path
    hit.write_bytes(data.draw(damaged(hit.read_bytes())))
    with named(hit):
        ReferenceStatistics.load(path)


@given(damaged(json.dumps({"a": [1, 2.5, None, "é"], "b": {"c": True}}).encode()))
def test_json_is_a_value_or_has_a_reason(text: bytes) -> None:
    with suppress(UnusableError):
        parse_json(text)


def test_text_and_numbers_that_everything_can_hold() -> None:
    assert is_text("naïve 👟")
    assert not any(map(is_text, ("\ud800", "a\0b", None, b"a", 7)))
    assert all(map(is_number, (7, -0.5)))
    assert not any(map(is_number, (True, float("nan"), float("inf"), "7", None)))
