"""Tables of days by a mapping: units, dates, duplicates, days not worn; and the real days of 35 people."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from activitymodule.days.columns import SCHEMA
from activitymodule.days.imports.importing import Imported
from activitymodule.days.imports.table import import_table
from activitymodule.days.imports.table_mapping import load
from activitymodule.errors import ConfigError, DataError

CSV = """who;day;walked;energy;awake;pulse;sport
7;1.3.2024;5000;8.368,0;10,5;0,9;Lap Swimming
7;02.03.2024;-1;8368;;1;
7;3.3.2024;0;0;0;;
8;3.3.2024;9e9;x;1;1;
;3.3.2024;1;1;1;1;
8;32.3.2024;1;1;1;1;
"""
MAPPING = {
    "name": "study",
    "files": "days*",
    "format": {"delimiter": ";", "decimal": ","},
    "participant": {"column": "who", "prefix": "s-"},
    "date": {"column": "day", "formats": ["%d.%m.%Y"]},
    "columns": {
        "steps": "walked",
        "kcal": {"column": "energy", "unit": "kJ"},
        "active_minutes": {"column": "awake", "unit": "h"},
        "heart_mean": {"column": "pulse", "unit": "Hz"},
    },
    "workout": "sport",
    "missing": [-1],
    "not_worn": [{"walked": 0, "energy": 0}],
    "zone": "Europe/Berlin",
}


def imported(folder: Path, mapping: dict[str, object], participant: str | None = None) -> Imported:
    file = folder / "mapping.yaml"
    file.write_text(yaml.safe_dump(mapping))
    found = import_table(load(str(file)), folder, participant)
    pa.Table.from_pylist(found.rows, SCHEMA).validate(full=True)
    return found


def test_units_dates_and_what_cannot_be_right(tmp_path: Path) -> None:
    (tmp_path / "days.csv").write_text(CSV.replace("8.368,0", "8368,0"))
    found = imported(tmp_path, MAPPING)
    assert [(row["participant"], row["date"]) for row in found.rows] == [
        ("s-7", date(2024, 3, 1)),
        ("s-7", date(2024, 3, 2)),
        ("s-7", date(2024, 3, 3)),
        ("s-8", date(2024, 3, 3)),
    ]
    first, second, third, last = found.rows
    assert (first["steps"], first["kcal"], first["active_minutes"], first["heart_mean"], first["workout"]) == (
        5000, pytest.approx(2000), 630, 54, "swimming",
    )  # fmt: skip
    assert "steps" not in second
    assert second["heart_mean"] == 60
    assert (third["wear_minutes"], "steps" in third, "kcal" in third) == (0, False, False)
    assert "steps" not in last
    assert found.ledger.left_out == {
        "steps: impossible value": 1,
        "energy: no number": 1,
        "row without a participant": 1,
        "row without a date": 1,
        "file mapping.yaml": 1,
    }
    assert found.ledger.noticed == {"day not worn": 1}
    assert found.source == "table:study"


def test_of_several_rows_of_a_day_the_fullest_counts_in_any_order(tmp_path: Path) -> None:
    rows = ["7;1.3.2024;100;2;1;1;", "7;1.3.2024;0;0;;;", "7;1.3.2024;900;1;1;1;", "7;1.3.2024;900;1;1;1;"]
    header = CSV.splitlines()[0]
    for order in (rows, rows[::-1]):
        (tmp_path / "days.csv").write_text("\n".join([header, *order]))
        found = imported(tmp_path, MAPPING)
        assert [row["steps"] for row in found.rows] == [900]
        assert sum(found.ledger.merged.values()) == 3
    by_energy = imported(tmp_path, MAPPING | {"fullest": "energy"})
    assert [row["steps"] for row in by_energy.rows] == [100]


def test_more_minutes_than_the_day_has_are_unknown(tmp_path: Path) -> None:
    (tmp_path / "days.csv").write_text("d,m\n2024-03-31,1400\n2024-04-01,1400\n")
    mapping = {
        "name": "m",
        "files": "*.csv",
        "date": "d",
        "columns": {"active_minutes": "m"},
        "zone": "Europe/Berlin",
    }
    found = imported(tmp_path, mapping, "p1")
    assert [row["active_minutes"] for row in found.rows] == [None, 1400]  # the first has 23 hours
    assert found.ledger.left_out["active_minutes of a day: impossible value"] == 1


def test_parquet_with_typed_columns_and_a_second_table(tmp_path: Path) -> None:
    days = [date(2024, 3, 31), date(2024, 4, 1)]
    pq.write_table(pa.table({"day": days, "run": [30.0, None], "n": [4000, 10]}), tmp_path / "days.parquet")
    pq.write_table(
        pa.table({"day": pa.array(days).cast(pa.timestamp("ms")), "hr": [51.0, 52.0]}),
        tmp_path / "heart.parquet",
    )
    mapping = {
        "name": "two",
        "files": "days.parquet",
        "date": "day",
        "columns": {"steps": "n", "minutes.running": "run", "bouts.running": "run"},
        "also": [{"files": "heart.parquet", "date": "day", "columns": {"heart_resting": "hr"}}],
        "zone": "Europe/Berlin",
    }
    first, second = imported(tmp_path, mapping, "p1").rows
    assert (first["hours"], first["minutes"], first["heart_resting"]) == (23, {"running": 30}, 51)
    assert "minutes" not in second
    with pytest.raises(ConfigError, match="--participant"):
        imported(tmp_path, mapping)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"columns": {"step": "walked"}}, "did you mean steps"),
        ({"columns": {"kcal": {"column": "energy", "unit": "km"}}}, "its units are"),
        ({"columns": {"hours": "walked"}}, "has no column hours"),
        ({"zone": "Mars/Base"}, "no time zone"),
        ({"colums": {}}, "did you mean columns"),
        ({"columns": {}}, "columns"),
        ({"date": None}, "date"),
        ({"name": "a/b"}, "name"),
    ],
)
def test_a_wrong_mapping_is_one_sentence(tmp_path: Path, change: dict[str, object], says: str) -> None:
    (tmp_path / "days.csv").write_text(CSV)
    with pytest.raises(ConfigError, match=says):
        imported(tmp_path, MAPPING | change)


def test_tables_of_another_kind_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no file that the mapping takes"):
        imported(tmp_path, MAPPING)
    (tmp_path / "days.csv").write_text("who;day\n7;1.3.2024\n")
    with pytest.raises(DataError, match="has no column"):
        imported(tmp_path, MAPPING)
    (tmp_path / "days.csv").write_text(CSV.splitlines()[0] + "\n")
    with pytest.raises(DataError, match="no row with a day"):
        imported(tmp_path, MAPPING)
    (tmp_path / "days.csv").write_text(CSV.replace("\n7;1", "\na b;1"))
    with pytest.raises(DataError, match="participant"):
        imported(tmp_path, MAPPING)
    with pytest.raises(ConfigError, match="no mapping"):
        load("another-study")


def test_the_real_days_of_35_people(data_folder: Path) -> None:
    found = import_table(load("fitbit-daily"), data_folder / "fitbit_daily.tar.gz")
    assert found.ledger.read == {"file": 1, "row": 1397}
    assert found.ledger.merged == {"row of a day that another row has more of": 24}
    assert len(found.rows) == 1397 - 24
    assert len({row["participant"] for row in found.rows}) == 35
    shared = [row for row in found.rows if row["date"] == date(2016, 4, 12)]
    assert next(row["steps"] for row in shared if row["participant"] == "fitbit-1503960366") == 13162
    unworn = [row for row in found.rows if row.get("wear_minutes") == 0]
    assert len(unworn) == found.ledger.noticed["day not worn"] == 133
    assert not any("steps" in row or "kcal" in row for row in unworn)
    assert import_table(load("fitbit-daily"), data_folder / "fitbit_daily.tar.gz").rows == found.rows
    assert found.ledger.left_out["column TotalDistance"] == 1
