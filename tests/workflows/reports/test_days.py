"""Exports of daily records: people, totals and typical days are those of the records, and the bytes the same."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from day_records import PERSONAS, day_records, persona_of

from activitymodule.days.derived import with_derived
from activitymodule.days.merging import merged
from activitymodule.lake.exports import read_export
from activitymodule.workflows.reports.days import MEANS, write_days


@pytest.fixture(scope="module")
def records() -> pa.Table:
    return day_records(people=8, days=21)


@pytest.fixture(scope="module")
def folder(records: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exports")
    write_days(folder, with_derived(merged(records)), personas(records))
    return folder


def personas(records: pa.Table) -> dict[str, str]:
    """Of all but one person, who has none."""
    return {name: persona_of(name) for name in set(records.column("participant").to_pylist()) - {"p0007"}}


def exported(folder: Path, name: str) -> pa.Table:
    found = read_export(folder, name)
    assert found is not None
    return found


def test_the_order_of_rows_makes_no_difference(records: pa.Table, folder: Path, tmp_path: Path) -> None:
    shuffled = records.take(pc.sort_indices(records, [("date", "descending")]))
    write_days(tmp_path, with_derived(merged(shuffled)), personas(records))
    for path in folder.iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name


def test_people_have_the_means_of_their_worn_days(records: pa.Table, folder: Path) -> None:
    people = exported(folder, "people").to_pylist()
    assert [one["participant"] for one in people] == [f"p{k:04d}" for k in range(8)]
    for one in people:
        own = records.filter(pc.field("participant") == one["participant"])
        worn = own.filter(pc.field("wear_minutes") >= 600)
        assert (one["days"], one["worn_days"]) == (len(own), len(worn))
        assert (one["first"], one["last"]) == tuple(pc.min_max(own.column("date")).as_py().values())
        for name in MEANS:
            assert one[name] == pytest.approx(pc.mean(worn.column(name)).as_py())
    assert people[7]["persona"] is None
    assert people[1]["persona"] == persona_of("p0001")


def test_totals_and_typical_days_are_of_worn_days(records: pa.Table, folder: Path) -> None:
    totals = exported(folder, "totals").to_pylist()
    assert len(totals) == 21
    worn = records.filter(pc.field("wear_minutes") >= 600)
    for one in totals:
        of_day = worn.filter(pc.field("date") == one["date"])
        assert (one["people"], one["worn"]) == (8, len(of_day))
        assert one["steps"] == pytest.approx(pc.mean(of_day.column("steps")).as_py())
    typical = exported(folder, "typical").to_pylist()
    assert {(one["persona"], one["weekday"]) for one in typical} == {
        (name, day) for name in ("", *PERSONAS) for day in range(7)
    }
    mondays = worn.filter(pc.equal(pc.day_of_week(worn.column("date")), 0))
    of_all = next(one for one in typical if (one["persona"], one["weekday"]) == ("", 0))
    assert of_all["kcal"] == pytest.approx(pc.mean(mondays.column("kcal")).as_py())


def test_who_has_no_worn_day_has_the_means_of_all_days_as_on_the_first_one(tmp_path: Path) -> None:
    records = day_records(people=1, days=3)
    place = records.schema.get_field_index("wear_minutes")
    unworn = records.set_column(place, records.schema.field(place), pa.array([10.0, None, 0.0]))
    write_days(tmp_path, with_derived(merged(unworn)), {})
    (person,) = exported(tmp_path, "people").to_pylist()
    assert (person["days"], person["worn_days"]) == (3, 0)
    assert person["steps"] == pytest.approx(pc.mean(unworn.column("steps")).as_py())
    assert [one["steps"] for one in exported(tmp_path, "totals").to_pylist()] == unworn.column(
        "steps"
    ).to_pylist()
    assert [one["worn"] for one in exported(tmp_path, "totals").to_pylist()] == [0, 0, 0]
