"""A person leaves every kind of file that the project writes, and nobody else does."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from activitymodule.lake.erasing import Eraser, Folder
from activitymodule.settings import load
from activitymodule.telemetry.traces import Traces, period

NOON = datetime(2026, 9, 21, 12, tzinfo=UTC)
T = int(NOON.timestamp()) * 1_000_000
# anna always wore a1, and the shared watch from noon on
ANNA = Traces("anna", {"a1": (period(None, None),), "shared": (period(NOON, None),)}, frozenset({"a1"}))
TIME = pa.timestamp("us", "UTC")


def message(*readings: tuple[str, int]) -> bytes:
    made = [{"device_id": device, "stamp": us // 1000, "user_acceleration_x": 0.5} for device, us in readings]
    return json.dumps(made if len(made) > 1 else made[0]).encode()


def archive(path: Path, *messages: tuple[str, bytes]) -> None:
    n = len(messages)
    table = pa.table(
        {
            "key": pa.array([key.encode() for key, _ in messages], pa.binary()),
            "value": pa.array([value for _, value in messages], pa.binary()),
            "partition": pa.array([0] * n, pa.int32()),
            "offset": pa.array(range(n), pa.int64()),
            # as Spark writes it
            "timestamp": pa.array([T + 1] * n, pa.timestamp("us")),
            "timestampType": pa.array([1] * n, pa.int32()),
        }
    )
    path.parent.mkdir(parents=True)
    pq.write_table(table, path, use_deprecated_int96_timestamps=True)
    (path.parent / f".{path.name}.crc").write_bytes(b"of before")


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """Files of each kind, with anna, bo and the shared watch in them."""

    def write(name: str, **columns: pa.Array) -> None:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(columns), tmp_path / name)

    archive(
        tmp_path / "archive" / "topic" / "date=2026-09-21" / "messages-0-0-5-x.parquet",
        ("a1", message(("a1", T))),
        ("b", message(("b", T))),
        ("shared", message(("shared", T - 1_000_000), ("shared", T), ("b", T))),
        ("shared", message(("shared", T + 1_000_000))),
        ("a1", b'{"device_id": "a1", '),
    )
    starts = pa.array([T - 10_000_000, T, T, T], TIME)
    write("predictions/date=2026-09-21/predictions.parquet",
          device_id=pa.array(["shared", "shared", "a1", "b"]), window_start=starts)  # fmt: skip
    write(
        "daily/year=2026/month=09/days.parquet", participant=pa.array(["anna", "bo"]), steps=pa.array([1, 2])
    )
    write("training/windows-00ff.parquet", person=pa.array(["watch:anna", "watch:shared", "watch:b", "bo"]))
    write("prepared/person=anna/date=2026-09-21/part-0.parquet", x=pa.array([1]))
    write("prepared/person=bo/date=2026-09-21/part-0.parquet", x=pa.array([1]))
    (tmp_path / "training" / "runs").mkdir()
    np.savez_compressed(
        tmp_path / "training" / "runs" / "r.npz", person=np.array(["anna", "b"]), label=np.array([1, 2])
    )
    (tmp_path / "people.csv").write_text("participant,steps\nanna,1\nannabel,2\nanna.b,3\nbo,4\n")
    return tmp_path


def test_a_person_leaves_every_kind_of_file(lake: Path) -> None:
    eraser = Eraser(Folder(str(lake), "lake"), ANNA, load({}).telemetry)
    assert [Path(path).name for path in eraser.training_files()] == ["windows-00ff.parquet"]
    removed: dict[str, int] = {}
    for one in eraser.remove():
        where = Folder(str(lake), "lake").area(one.path)
        removed[where] = removed.get(where, 0) + one.rows
    assert removed == {
        "lake/archive": 4,
        "lake/predictions": 2,
        "lake/daily": 1,
        "lake/training": 3,
        "lake/prepared": 1,
        "lake": 1,
    }
    assert eraser.left() == []
    assert list(eraser.remove()) == [], "done again, nothing is left to do"

    def values(name: str, column: str) -> list[object]:
        return pq.read_table(lake / name).column(column).to_pylist()

    kept = "archive/topic/date=2026-09-21/messages-0-0-5-x.parquet"
    assert [json.loads(one) for one in values(kept, "value")] == [
        json.loads(message(("b", T))),
        json.loads(message(("shared", T - 1_000_000), ("b", T))),
    ]
    assert values(kept, "offset") == [1, 2]
    assert pq.read_schema(lake / kept).field("timestamp").type == TIME
    assert not list(lake.rglob("*.crc"))
    assert values("predictions/date=2026-09-21/predictions.parquet", "device_id") == ["shared", "b"]
    assert values("daily/year=2026/month=09/days.parquet", "participant") == ["bo"]
    assert values("training/windows-00ff.parquet", "person") == ["watch:b", "bo"]
    assert [one.name for one in (lake / "prepared").iterdir()] == ["person=bo"]
    assert np.load(lake / "training" / "runs" / "r.npz")["label"].tolist() == [2]
    assert (lake / "people.csv").read_text() == "participant,steps\nannabel,2\nanna.b,3\nbo,4\n"


def test_what_cannot_be_removed_is_found(lake: Path) -> None:
    eraser = Eraser(Folder(str(lake), "lake"), ANNA, load({}).telemetry)
    (lake / "figures.json").write_text('{"best": "anna", "device": "shared"}')
    (lake / "other.json").write_text('{"best": "annabel"}')
    (lake / "broken.parquet").write_bytes(b"PAR1 and no more")
    list(eraser.remove())
    assert eraser.left() == [str(lake / "broken.parquet"), str(lake / "figures.json")]
