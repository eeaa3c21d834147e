"""Tables that a mapping describes: formats, units, times, persons and labels to readings, every row counted."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from activitymodule.errors import ConfigError, DataError
from activitymodule.telemetry import mapping, recordings, sources
from activitymodule.telemetry.chunks import Ledger
from activitymodule.telemetry.gravity import STANDARD_GRAVITY
from activitymodule.telemetry.sources.tables.source import TableSource
from activitymodule.windows.packing import to_records

BEGIN = datetime(2024, 3, 1, 10, 0, tzinfo=UTC)
MAPPING: dict[str, Any] = {
    "name": "mine",
    "person": {"value": "anna"},
    "time": {"is": "epoch_ms", "column": "t"},
    "acceleration": {"x": "x", "y": "y", "z": "z", "unit": "g", "gravity": "included", "sign": "core_motion"},
}


def mapped(**keys: Any) -> TableSource:
    return TableSource(mapping.parse(yaml.safe_dump(MAPPING | keys)))


def read_all(source: TableSource, path: Path) -> tuple[pa.Table, Ledger]:
    tables, total = [], Ledger()
    for unit in source.scan(path):
        for chunk in sources.read(unit):
            assert chunk.ledger.balanced
            assert chunk.ledger.readings == len(chunk.readings)
            tables.append(chunk.readings)
            total += chunk.ledger
    return pa.concat_tables(tables), total


def acceleration(table: pa.Table) -> np.ndarray:
    return np.asarray(to_records(table)["values"][:, :3])


def stamps(table: pa.Table) -> np.ndarray:
    return np.asarray(table.column("stamp").cast(pa.int64()).to_numpy()) / 1e6


def lines(n: int = 100, hz: float = 50.0, scale: float = 1.0) -> Iterator[tuple[int, float, float, float]]:
    """Epoch milliseconds, and a watch at rest that lies face up, in Core Motion's signs."""
    for i in range(n):
        yield round(BEGIN.timestamp() * 1000 + i * 1000 / hz), 0.0, 0.0, -scale


def text(rows: Iterator[tuple[object, ...]], header: str | None = "t,x,y,z", delimiter: str = ",") -> str:
    head = [header] if header else []
    return "\n".join([*head, *(delimiter.join(map(str, row)) for row in rows)]) + "\n"


@pytest.mark.parametrize(
    ("given", "keys"),
    [
        (text(lines()).encode(), {}),
        (b"\xef\xbb\xbf" + text(lines()).encode(), {}),
        (text(lines()).encode("utf-16"), {"format": {"encoding": "utf-16"}}),
        (text(lines(), "größe;x;y;z", ";").encode("latin-1"),
         {"format": {"encoding": "latin-1", "delimiter": ";"}, "time": {"is": "epoch_ms", "column": "größe"}}),
        (text(lines(), "t;x;y;z", ";").replace(".", ",").encode(), {"format": {"delimiter": ";", "decimal": ","}}),
        (text(lines(), None, "\t").encode(),
         {"format": {"delimiter": "tab", "header_rows": 0, "columns": list("txyz")}}),
        (text(lines(), None, "   ").encode(),
         {"format": {"delimiter": "whitespace", "header_rows": 0, "columns": list("txyz")}}),
        (("made by\na logger\n" + text(lines()).replace("z\n", "z\nms,g,g,g\n", 1)).encode(),
         {"format": {"skip_rows": 2, "header_rows": 2}}),
        (text(lines()).replace("\n", ";\r\n").encode(), {"format": {"row_end": ";"}}),
    ],
)  # fmt: skip
def test_files_however_they_are_written(tmp_path: Path, given: bytes, keys: dict[str, Any]) -> None:
    (tmp_path / "a.csv").write_bytes(given)
    table, ledger = read_all(mapped(**keys), tmp_path)
    assert (ledger.rows, len(table)) == (100, 21)
    np.testing.assert_allclose(acceleration(table), [[0, 0, -1]] * 21, atol=1e-5)
    assert stamps(table)[0] == BEGIN.timestamp()


def test_folders_archives_gzip_and_parquet(tmp_path: Path) -> None:
    plain = text(lines()).encode()
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.csv").write_bytes(plain)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("in/a.csv.gz", gzip.compress(plain))
        archive.writestr("in/readme.md", "none of it")
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as tar:
        info = tarfile.TarInfo("in/a.csv")
        info.size = len(plain)
        tar.addfile(info, io.BytesIO(plain))
    rows = list(lines())
    columns = {name: [row[i] for row in rows] for i, name in enumerate("txyz")}
    pq.write_table(pa.table(columns | {"unused": [1] * 100}), tmp_path / "a.parquet")
    expected, ledger = read_all(mapped(), tmp_path / "folder")
    for name in ("a.zip", "a.tar.gz", "a.parquet"):
        source = mapped()
        table, counted = read_all(source, tmp_path / name)
        assert table.equals(expected)
        assert counted == ledger
        assert source.left_out == {
            "a.zip": ["file in/readme.md"],
            "a.parquet": ["column unused of 1 file"],
        }.get(name, [])


@pytest.mark.parametrize(
    ("unit", "scale", "size"),
    [("g", 1, 1), ("mg", 1, 1000), ("m/s2", 1, STANDARD_GRAVITY), ("counts", "1/64", 64)],
)
def test_units_signs_and_axes(tmp_path: Path, unit: str, scale: object, size: float) -> None:
    (tmp_path / "a.csv").write_text(text(lines(scale=-size)))  # Android: +1 g face up
    spec = MAPPING["acceleration"] | {"unit": unit, "scale": scale, "sign": "android"}
    table, _ = read_all(mapped(acceleration=spec), tmp_path)
    np.testing.assert_allclose(acceleration(table)[10], [0, 0, -1], atol=1e-5)
    table, _ = read_all(mapped(acceleration=spec, axes={"x": "-z", "z": "x"}), tmp_path)
    np.testing.assert_allclose(acceleration(table)[10], [1, 0, 0], atol=1e-5)


def test_gravity_apart_attitude_and_rotation(tmp_path: Path) -> None:
    rows = ((t, 0.1, 0.0, 0.0, 90, 0, 180, 0, 0) for t, *_ in lines())
    (tmp_path / "a.csv").write_text(text(rows, "t,x,y,z,pitch,roll,gx,gy,gz"))
    table, _ = read_all(
        mapped(
            acceleration=MAPPING["acceleration"] | {"gravity": "removed"},
            attitude={"pitch": "pitch", "roll": "roll", "unit": "deg"},
            rotation={"x": "gx", "y": "gy", "z": "gz", "unit": "deg/s"},
            axes={"x": "y", "y": "x"},
        ),
        tmp_path,
    )
    np.testing.assert_allclose(acceleration(table)[10], [-1, 0.1, 0], atol=1e-5)
    # an odd exchange of axes is a mirror image, in which a turn goes the other way
    assert table.column("rotation_rate_y").to_numpy()[10] == pytest.approx(-np.pi)


TIMES = {
    "epoch_s": lambda at: at.timestamp(),
    "epoch_us": lambda at: round(at.timestamp() * 1e6),
    "epoch_ns": lambda at: round(at.timestamp() * 1e6) * 1000,
    "iso": lambda at: at.astimezone(ZoneInfo("Asia/Kolkata")).isoformat(),
}


@pytest.mark.parametrize("kind", TIMES)
def test_times_of_a_clock(tmp_path: Path, kind: str) -> None:
    rows = ((TIMES[kind](BEGIN + timedelta(milliseconds=100 * i)), 0, 0, -1) for i in range(50))
    (tmp_path / "a.csv").write_text(text(rows))
    table, _ = read_all(mapped(time={"is": kind, "column": "t"}), tmp_path)
    np.testing.assert_allclose(stamps(table), BEGIN.timestamp() + np.arange(50) / 10)


@pytest.mark.parametrize("form", [None, "%d.%m.%Y %H:%M:%S.%f"])
def test_the_hour_that_comes_twice(tmp_path: Path, form: str | None) -> None:
    zone = ZoneInfo("Europe/Madrid")
    begin = datetime(2023, 10, 28, 23, 59, tzinfo=UTC)  # 1:59 in Madrid; the clock goes back from 3:00
    times = [begin + timedelta(seconds=0.5 * i) for i in range(2 * 7320)]
    shown = (at.astimezone(zone).replace(tzinfo=None) for at in times)
    rows = ((at.strftime(form or "%Y-%m-%d %H:%M:%S.%f"), 0, 0, -1) for at in shown)
    (tmp_path / "a.csv").write_text(text(rows))
    spec = {"is": "local", "column": "t", "zone": "Europe/Madrid"} | ({"format": form} if form else {})
    table, ledger = read_all(mapped(time=spec), tmp_path)
    np.testing.assert_allclose(stamps(table), [at.timestamp() for at in times])
    assert ledger.noticed == {"local_time_that_comes_twice": 2 * 7200}


def test_the_hour_that_is_not_there(tmp_path: Path) -> None:
    shown = [datetime(2023, 3, 26, 1, 59, 59), datetime(2023, 3, 26, 2, 0, 1), datetime(2023, 3, 26, 3, 0, 5)]
    (tmp_path / "a.csv").write_text(text((at.isoformat(), 0, 0, -1) for at in shown))
    spec = {"is": "local", "column": "t", "zone": "Europe/Madrid"}
    table, ledger = read_all(mapped(time=spec), tmp_path)
    first = datetime(2023, 3, 26, 0, 59, 59, tzinfo=UTC).timestamp()
    # a clock that was put forward some seconds late goes on by what it showed before
    np.testing.assert_allclose(stamps(table) - first, [0, 2, 6])
    assert ledger.noticed == {"no_such_local_time": 1}


def test_times_without_an_offset_are_said_to_be_so(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(text([("2024-03-01 10:00:00", 0, 0, -1)] * 3))
    (unit,) = mapped(time={"is": "iso", "column": "t"}).scan(tmp_path)
    assert [dict(chunk.ledger.removed) for chunk in sources.read(unit)] == [{"stamp_without_offset": 3}]


def test_trials_that_start_at_zero_follow_each_other(tmp_path: Path) -> None:
    for trial in "12":
        rows = ((i / 25, 0, 0, -1) for i in range(100))
        (tmp_path / f"anna_{trial}.csv").write_text(text(rows))
    both = [(i / 25, 0, 0, -1) for i in range(100)] * 2
    (tmp_path / "bert_1.csv").write_text(text(iter(both)))
    source = mapped(
        person=None, path=r"(?P<person>\w+)_(?P<trial>\d)", time={"is": "elapsed_s", "column": "t"}
    )
    table, ledger = read_all(source, tmp_path)
    people = {}
    for person, stamp in zip(table.column("person").to_pylist(), stamps(table), strict=True):
        people.setdefault(person, []).append(stamp)
    start = datetime(2019, 1, 1, tzinfo=UTC).timestamp()
    one = np.arange(41) / 10
    for person in ("anna", "bert"):
        np.testing.assert_allclose(np.array(people[person]) - start, np.r_[one, 300 + one], atol=1e-6)
    assert ledger.noticed == {"time_starts_again": 1}


def test_rows_at_a_known_rate_and_a_column_of_trials(tmp_path: Path) -> None:
    rows = (("walk" if i < 64 else "sit", 0, 0, -1) for i in range(128))
    (tmp_path / "a.csv").write_text(text(rows))
    keys = {"time": {"is": "rows", "rate_hz": 32}, "trial": {"column": "t"}, "label": {"column": "t"}}
    table, _ = read_all(mapped(**keys, labels={"walk": "walking", "sit": None}), tmp_path)
    at = stamps(table) - stamps(table)[0]
    assert at.max() == pytest.approx(302.0)
    assert set(table.column("activity").to_pylist()) == {"walking", None}


def test_times_of_arrival_are_spread(tmp_path: Path) -> None:
    true = np.arange(2000) / 49.6
    arrival = np.ceil(true / 0.5) * 0.5  # twice a second, all at once
    x = np.sin(2 * np.pi * true)
    rows = zip(arrival, x, 0 * x, 0 * x - 1, strict=True)
    (tmp_path / "a.csv").write_text(text(rows))
    table, _ = read_all(mapped(time={"is": "elapsed_s", "column": "t", "spread": True}), tmp_path)
    found = acceleration(table)[20:-20, 0]
    lag = np.argmax([np.corrcoef(found, np.sin(2 * np.pi * (np.arange(len(found)) / 10 - s)))[0, 1]
                     for s in np.arange(0, 1, 0.01)]) / 100  # fmt: skip
    at = np.arange(len(found)) / 10
    np.testing.assert_allclose(found, np.sin(2 * np.pi * (at - lag)), atol=0.06)


def test_persons_devices_and_labels_by_columns(tmp_path: Path) -> None:
    rows = [(t, x, y, z, "ada" if i % 2 else "bo" if i % 3 else "", "L", "RUN" if i < 50 else "x")
            for i, (t, x, y, z) in enumerate(lines())]  # fmt: skip
    (tmp_path / "a.csv").write_text(
        text(iter([*rows, ("bad", 0, 0, 0, "ada", "L", "RUN"), (1, 2)]), "t,x,y,z,who,side,what")
    )
    source = mapped(
        person={"column": "who"},
        device={"column": "side"},
        label={"column": "what"},
        labels={"RUN": "jogging"},
    )
    table, ledger = read_all(source, tmp_path)
    assert sorted(
        set(zip(table.column("person").to_pylist(), table.column("device_id").to_pylist(), strict=True))
    ) == [
        ("ada", "mine-ada-L"),
        ("bo", "mine-bo-L"),
    ]
    assert ledger.rows == 102
    assert {k: ledger.removed[k] for k in ("bad_stamp", "malformed_row", "no_person")} == {
        "bad_stamp": 1, "malformed_row": 1, "no_person": 17,
    }  # fmt: skip
    assert ledger.noticed == {"unmapped_label:x": 42}


def test_a_second_file_of_spans(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(text(lines(500, 10)))
    start = round(BEGIN.timestamp() * 1000)
    spans = [(start + 5000, start + 10_000, "Walk", "anna"), (start, start + 60_000, "Eat", "bert")]
    (tmp_path / "spans.csv").write_text(text(iter(spans), "from,to,what,who"))
    spec = {"file": "spans.csv", "start": "from", "end": "to", "label": "what", "person": "who"}
    table, _ = read_all(mapped(spans=spec, labels={"Walk": "walking"}), tmp_path)
    activity = table.column("activity").to_pylist()
    assert activity == [None] * 50 + ["walking"] * 50 + [None] * 400


def test_files_of_one_trial_are_joined_by_time(tmp_path: Path) -> None:
    start = round(BEGIN.timestamp() * 1000)
    for person in ("s1", "s2"):
        (tmp_path / person).mkdir()
        rows = [(*row, "walk") for row in lines(500, 50)]
        (tmp_path / person / "acc.csv").write_text(text(iter(rows), "t,x,y,z,what"))
        turns = ((start + 10 * i, 1, 2, 3) for i in range(1000))
        (tmp_path / person / "gyro.csv").write_text(text(turns, "ms,a,b,c"))
        (tmp_path / person / "hr.csv").write_text(
            text(((start + 1000 * i, 70 + i) for i in range(10)), "ms,bpm")
        )
    time = {"is": "epoch_ms", "column": "ms"}
    source = mapped(
        person=None,
        path=r"(?P<person>s\d)/",
        files="acc.csv",
        label={"column": "what"},
        also=[
            {"files": "gyro.csv", "time": time, "rotation": {"x": "a", "y": "b", "z": "c", "unit": "rad/s"}},
            {"files": "hr.csv", "time": time, "channels": {"heart_rate": "bpm"}},
        ],
    )
    table, ledger = read_all(source, tmp_path)
    assert ledger.rows == 2 * 1510
    assert len(table) == 2 * 101
    assert table.column("rotation_rate_y").to_pylist() == [2.0] * 202
    assert table.column("heart_rate").to_pylist()[:12] == [70.0] * 10 + [71.0] * 2
    assert set(table.column("activity").to_pylist()) == {"walk"}


def test_windows_of_numpy_are_joined_again(tmp_path: Path) -> None:
    signal = np.random.default_rng(0).normal(size=(320, 3))
    cut = np.stack([signal[i : i + 96] for i in range(0, 225, 32)])
    np.save(tmp_path / "X.npy", cut)
    np.save(tmp_path / "y.npy", np.array([["walk"]] * len(cut)))
    form = {"columns": list("xyz"), "windows": {"overlap": 64, "per_window": {"what": "y.npy"}}}
    source = mapped(files="X.npy", format=form, time={"is": "rows", "rate_hz": 32}, label={"column": "what"})
    table, ledger = read_all(source, tmp_path)
    assert ledger.rows == 320
    assert len(table) == 101
    rows = (
        (t, *map(repr, map(float, values))) for (t, *_), values in zip(lines(320, 32), signal, strict=True)
    )
    (tmp_path / "a.csv").write_text(text(rows))
    plain, _ = read_all(mapped(files="a.csv", time={"is": "rows", "rate_hz": 32}), tmp_path)
    np.testing.assert_array_equal(acceleration(plain), acceleration(table))


def test_a_column_that_is_not_there_and_files_that_do_not_fit(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(text(lines(), "time_ms,x,y,z"))
    with pytest.raises(DataError, match="did you mean time_ms"):
        mapped(time={"is": "epoch_ms", "column": "time"}).scan(tmp_path)
    with pytest.raises(ConfigError, match=r"a\.csv"):
        mapped(files="*.tsv").scan(tmp_path)


def test_other_files_are_left_out_where_the_mapping_does_not_name_its_files(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(text(lines()))
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "readme.txt").write_text("What this is\nand why\n")
    source = mapped()
    assert len(read_all(source, tmp_path)[0]) == 21
    assert source.left_out == ["file empty.csv: empty", "file readme.txt: no t"]
    (tmp_path / "a.csv").unlink()
    with pytest.raises(DataError):
        mapped().scan(tmp_path)


def test_a_joined_file_without_persons_is_that_of_its_trial(tmp_path: Path) -> None:
    for person in ("s1", "s2"):
        (tmp_path / person).mkdir()
        (tmp_path / person / "acc.csv").write_text(
            text(((*row, person) for row in lines(500)), "t,x,y,z,who")
        )
        (tmp_path / person / "hr.csv").write_text(text(((row[0], person[1]) for row in lines(1)), "t,bpm"))
    time = {"is": "epoch_ms", "column": "t"}
    also = [{"files": "hr.csv", "time": time, "channels": {"heart_rate": "bpm"}}]
    table, ledger = read_all(mapped(files="acc.csv", person={"column": "who"}, also=also), tmp_path)
    pairs = set(zip(table.column("person").to_pylist(), table.column("heart_rate").to_pylist(), strict=True))
    assert (ledger.rows, pairs) == (1002, {("s1", 1.0), ("s2", 2.0)})


def test_what_a_shipped_mapping_names_is_a_source_for_replay_too(tmp_path: Path) -> None:
    folder = tmp_path / "DATA" / "s01"
    folder.mkdir(parents=True)
    rows = ((x, y, -9.81, 0, 0, 0, t, "WALKING") for t, x, y, _ in lines(300, 100))
    (folder / "s01_01_sw.csv").write_text(
        text(rows, "x_acc,y_acc,z_acc,x_gyro,y_gyro,z_gyro,timestamp,label")
    )
    found = recordings.find(f"sp-sw-har:{tmp_path}", tmp_path / "prepared")
    assert (found.source, found.people) == ("sp-sw-har", ["s01"])
    assert sum(event.readings for event in found.schedule(None, 10_000_000, 10)) == 31
