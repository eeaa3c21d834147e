"""Daily records in the lake: a file a month, replaced whole, the same bytes for the same rows."""

import datetime as dt

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from own_settings import replaced

from activitymodule import settings as config
from activitymodule.days.columns import SCHEMA
from activitymodule.errors import DataError
from activitymodule.lake import daily, daily_writing

MARCH, APRIL = daily.Month(2026, 3), daily.Month(2026, 4)


@pytest.fixture
def settings(tmp_path):
    return replaced(config.load({}), lake={"folder": str(tmp_path / "lake")})


def rows(*given):
    plain = {
        "participant": "p",
        "source": "devices",
        "zone": "UTC",
        "hours": 24.0,
        "minutes": [("walking", 3.0)],
    }
    return pa.Table.from_pylist([plain | one for one in given], SCHEMA)


def on(month, day, **values):
    return {"date": dt.date(2026, month, day), **values}


def content(settings):
    folder = config.resolve(settings.lake.folder) / daily.DAILY
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_rows_are_sorted_and_written_again_they_are_the_same_bytes(settings):
    some = rows(on(4, 1, participant="b"), on(3, 2, steps=5.0), on(3, 1, hours_active=[1.0] * 24), on(4, 1))
    changes = daily_writing.replace(settings, some)
    assert changes == [daily_writing.Change(MARCH, 0, 2), daily_writing.Change(APRIL, 0, 2)]
    before = content(settings)
    assert set(before) == {"year=2026/month=03/days.parquet", "year=2026/month=04/days.parquet"}
    assert daily_writing.replace(settings, some.take([3, 2, 1, 0])) == []
    daily_writing.remove(settings, pc.field("participant") == "p")
    daily_writing.replace(settings, some.slice(1))
    assert content(settings) == before
    assert daily.months(settings) == [MARCH, APRIL]
    assert daily.read(settings, dt.date(2026, 3, 2)).to_pylist() == [
        {**dict.fromkeys(SCHEMA.names), **row}
        for row in daily.in_order(some.filter(pc.field("date") > dt.date(2026, 3, 1))).to_pylist()
    ]
    assert len(daily.read(settings, until=dt.date(2026, 3, 31), participants=["b"])) == 0
    assert len(daily.read(settings, sources=["devices"])) == 4


def test_only_stale_rows_and_those_of_the_same_key_go(settings):
    daily_writing.replace(settings, rows(on(3, 1), on(3, 2), on(3, 2, source="fitbit", steps=1.0), on(4, 1)))
    april = content(settings)["year=2026/month=04/days.parquet"]
    stale = (pc.field("source") == "devices") & (pc.field("date") <= dt.date(2026, 3, 31))
    changes = daily_writing.replace(
        settings, rows(on(3, 2, source="fitbit", steps=2.0)), stale, [MARCH, APRIL]
    )
    assert [str(one.month) for one in changes] == ["2026-03"]
    assert daily.read(settings)["steps"].to_pylist() == [2.0, None]
    assert content(settings)["year=2026/month=04/days.parquet"] == april
    daily_writing.remove(settings, pc.field("participant") == "p")
    assert content(settings) == {}
    assert len(daily.read(settings)) == 0


@pytest.mark.parametrize(
    "broken",
    [
        {"wear_minutes": -1.0},
        {"wear_minutes": 1441.0},
        {"completeness": 1.2},
        {"participant": ""},
        {"minutes": [("walking", -3.0)]},
        {"minutes": [("walking", float("nan"))]},
        {"hours_active": [1.0] * 23},
        {"heart_mean": 0.0},
        {"steps": float("inf")},
    ],
)
def test_what_breaks_the_rules_of_a_column_is_not_written(settings, broken):
    with pytest.raises(DataError):
        daily_writing.replace(settings, rows(on(3, 1), on(3, 2, **broken)))
    assert content(settings) == {}


def test_two_rows_of_one_key_or_an_unknown_column_are_refused(settings):
    with pytest.raises(DataError):
        daily_writing.replace(settings, rows(on(3, 1), on(3, 1)))
    with pytest.raises(DataError):
        daily_writing.replace(settings, rows(on(3, 1)).append_column("mood", pa.array(["good"])))
