"""Exports: whole files in a fixed order, read in part; what cannot be read is named with its remedy."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from activitymodule.errors import ConfigError, DataError
from activitymodule.lake.exports import read_export, write_export

ROWS = pa.table({"name": ["b", "a", "c"], "value": [2.0, 1.0, None]})


def test_rows_are_in_their_order_and_the_bytes_the_same(tmp_path: Path) -> None:
    first = write_export(tmp_path, "one", ROWS, order=("name",)).read_bytes()
    shuffled = ROWS.take(pa.array([2, 0, 1]))
    assert write_export(tmp_path, "one", shuffled, order=("name",)).read_bytes() == first
    found = read_export(tmp_path, "one", columns=("value",), where=pc.field("name") != "c")
    assert found is not None
    assert found.to_pydict() == {"value": [1.0, 2.0]}
    assert [path.name for path in tmp_path.iterdir()] == ["one.parquet"]


def test_what_was_not_made_is_none_and_what_is_damaged_is_named(tmp_path: Path) -> None:
    assert read_export(tmp_path, "one") is None
    (tmp_path / "one.parquet").write_bytes(b"PAR1, cut off")
    with pytest.raises(DataError, match=r"one\.parquet cannot be read.*activity report"):
        read_export(tmp_path, "one")
    pq.write_table(ROWS, tmp_path / "one.parquet")
    with pytest.raises(DataError, match="another version"):
        read_export(tmp_path, "one")
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError):
        write_export(tmp_path / "file" / "below", "one", ROWS, order=("name",))
