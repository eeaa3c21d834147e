"""Neighbours of labelled windows, from the archive."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from activitymodule.lake.archive import archive_path
from activitymodule.lake.neighbours import neighbours
from activitymodule.settings import Settings, build
from activitymodule.synthesis.history import training_readings
from activitymodule.windows.assembling import assemble
from activitymodule.windows.features import features
from activitymodule.windows.panes import windows_of


def test_spreading_reads_the_archive(tmp_path: Path) -> None:
    """Neighbours come from archived messages, by the same features as the stream's."""
    settings = build({"archive": {"folder": str(tmp_path / "archive")}})
    begin = 1_767_254_400
    made = training_readings(1, 5, 4, start=begin)
    device = made.readings.column("device_id")[0].as_py()
    messages = []
    columns = [name for name in made.readings.column_names if name not in ("activity", "kcal_per_min")]
    for row in made.readings.select(columns).slice(0, 900).to_pylist():
        stamp = row.pop("stamp").isoformat(timespec="milliseconds")
        value = {key: one for key, one in row.items() if one is not None} | {"stamp": stamp}
        messages.append(json.dumps(value).encode())
    n = len(messages)
    table = pa.table(
        {
            "key": pa.array([device.encode()] * n, pa.binary()),
            "value": pa.array(messages, pa.binary()),
            "partition": pa.array([0] * n, pa.int32()),
            "offset": pa.array(range(n), pa.int64()),
            "timestamp": pa.array([(begin + 100) * 1_000_000] * n, pa.timestamp("us", "UTC")),
            "timestampType": pa.array([1] * n, pa.int32()),
        }
    )
    folder = Path(archive_path(settings)) / "date=2026-01-01"
    folder.mkdir(parents=True)
    pq.write_table(table, folder / "part-0.parquet")
    pq.write_table(table, folder / "part-1.parquet")  # the same messages, archived twice

    labelled = (begin + 40) * 1_000_000
    found = neighbours(settings, [(device, labelled), ("nobody", labelled)], 3)
    assert set(found) == {(device, labelled)}
    around = found[device, labelled]
    assert ((around.window_us - labelled) // 10_000_000).tolist() == [-3, -2, -1, 1, 2, 3]
    assert around.whole.all()
    expected = windows_of(made.readings.slice(0, 900), settings.windows)
    whole = features(assemble(expected.window_start_us, expected.panes, settings.windows), settings.windows)
    place = {int(us): k for k, us in enumerate(expected.window_start_us)}
    assert np.allclose(
        around.features,
        whole[[place[int(us)] for us in around.window_us]],
        rtol=1e-4,
        atol=1e-4,
        equal_nan=True,
    )
    assert neighbours(replace_archive(settings, tmp_path / "none"), [(device, labelled)], 3) == {}


def replace_archive(settings: Settings, folder: Path) -> Settings:
    archive = settings.archive.model_copy(update={"folder": str(folder)})
    return settings.model_copy(update={"archive": archive})
