"""Synthesised daily records: one function of (seed, person, date), within the rules of the columns."""

from __future__ import annotations

from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from activitymodule.days.columns import COLUMNS, SCHEMA
from activitymodule.errors import ConfigError
from activitymodule.synthesis.daily import personas, workouts
from activitymodule.synthesis.daily.days import Days
from activitymodule.synthesis.daily.records import (
    PEOPLE_SCHEMA,
    TRUTH_SCHEMA,
    HistoryRun,
    people_table,
    person_name,
    record_batch,
    record_table,
    truth_table,
)

RUN = HistoryRun(120, 120, 3, date(2026, 1, 1))


@pytest.fixture(scope="module")
def lived() -> Days:
    return RUN.lived(np.arange(1, RUN.people + 1))


@pytest.fixture(scope="module")
def records() -> pa.Table:
    return record_table(RUN)


@pytest.fixture(scope="module")
def worn(records: pa.Table) -> pa.Table:
    return records.filter(pc.greater(records["wear_minutes"], 0))


def test_every_person_has_a_record_on_every_day(records: pa.Table) -> None:
    assert records.schema.equals(SCHEMA)
    records.validate(full=True)
    assert records.num_rows == 120 * 120
    assert pc.unique(records["participant"]).to_pylist() == [person_name(n) for n in range(1, 121)]
    assert records["date"].to_pylist()[119:121] == [date(2026, 4, 30), date(2026, 1, 1)]
    assert pc.unique(records["source"]).to_pylist() == ["synthetic"]


def test_numbers_are_within_the_bounds_of_their_columns(records: pa.Table) -> None:
    for column in COLUMNS:
        if column.low is not None and pa.types.is_floating(column.type):
            low, high = pc.min_max(records[column.name]).as_py().values()
            assert column.low <= low
            assert high <= (column.high or np.inf), column.name


def test_a_day_adds_up(worn: pa.Table) -> None:
    table = worn.take(np.arange(0, worn.num_rows, 7)).to_pydict()
    wear, active = np.array(table["wear_minutes"]), np.array(table["active_minutes"])
    hours = np.array(table["hours"])
    assert (wear <= 60 * hours).all()
    assert (active <= wear).all()
    np.testing.assert_allclose([sum(v for _, v in row) for row in table["minutes"]], wear, atol=0.5)
    assert [len(row) for row in table["hours_active"]] == hours.tolist()
    np.testing.assert_allclose([sum(row) for row in table["hours_active"]], active, atol=0.3)
    assert max(max(row) for row in table["hours_active"]) <= 60
    span = [
        (b - a).total_seconds() / 60 for a, b in zip(table["first_wear"], table["last_wear"], strict=True)
    ]
    assert (np.array(span) >= wear - 1).all()
    mean, highest = np.array(table["heart_mean"]), np.array(table["heart_max"])
    assert (np.array(table["heart_resting"]) <= mean).all()
    assert (mean < highest).all()


def test_what_is_not_known_of_an_unworn_day_is_null(records: pa.Table) -> None:
    off = records.filter(pc.equal(records["wear_minutes"], 0))
    assert 0.03 < off.num_rows / records.num_rows < 0.4
    known = {"participant", "date", "source", "zone", "hours", "wear_minutes", "completeness"}
    for name in set(SCHEMA.names) - known:
        assert off[name].null_count == off.num_rows, name
    on = records.filter(pc.greater(records["wear_minutes"], 0))
    assert {name for name in SCHEMA.names if on[name].null_count} == {"workout"}


def test_local_days_are_those_of_the_zone(records: pa.Table) -> None:
    spring = records.filter(
        pc.and_(
            pc.equal(records["zone"], "Europe/Berlin"),
            pc.equal(records["date"], pa.scalar(date(2026, 3, 29))),
        )
    )
    assert pc.unique(spring["hours"]).to_pylist() == [23.0]
    plain = records.filter(pc.equal(records["zone"], "Asia/Tokyo"))
    assert pc.unique(plain["hours"]).to_pylist() == [24.0]


def test_a_record_depends_on_seed_person_and_date_alone(records: pa.Table) -> None:
    some = np.array([77, 5])
    alone = pa.Table.from_batches([record_batch(RUN, some)])
    together = pa.concat_tables([records.slice((n - 1) * 120, 120) for n in some])
    assert alone.equals(together.combine_chunks())
    short = HistoryRun(120, 50, 3, RUN.start)
    assert pa.Table.from_batches([record_batch(short, some[:1])]).equals(alone.slice(0, 50))
    other = HistoryRun(120, 50, 4, RUN.start)
    assert record_batch(other, some[:1]).column("steps") != record_batch(short, some[:1]).column("steps")


def test_at_least_seven_kinds_of_workouts(worn: pa.Table) -> None:
    kinds = set(pc.unique(worn["workout"]).to_pylist()) - {None}
    assert len(kinds) >= 7
    assert {"swimming", "cycling", "strength"} <= kinds <= set(workouts.NAMES)
    without = worn.filter(pc.is_null(worn["workout"]))
    assert pc.unique(without["workout_minutes"]).to_pylist() == [0.0]


def test_personas_live_as_they_were_planted(lived: Days) -> None:
    done = (lived.workout.kind >= 0) & lived.life.worn
    weekly = 7 * done.sum(1) / np.maximum(lived.life.worn.sum(1), 1)
    weekday = (RUN.dates.astype(np.int64) + 3) % 7
    weekend = done[:, weekday >= 5].sum(1) / np.maximum(done.sum(1), 1)
    of = {name: lived.habits.persona == k for k, name in enumerate(personas.NAMES)}
    assert weekly[of["trainer"]].mean() > 3 > 1 > weekly[of["quiet"]].mean()
    assert weekend[of["weekender"]].mean() > 0.75 > 0.5 > weekend[of["trainer"]].mean()
    fading = lived.habits.fades
    assert fading[of["fader"]].mean() > 0.8 > 0.2 > fading[~of["fader"]].mean()


def test_illness_slows_people_and_raises_their_heart_rate(lived: Days) -> None:
    well = lived.life.worn & (lived.life.illness == 0)
    ill = lived.life.worn & (lived.life.illness > 0.25)
    usual = lived.steps / np.nanmean(np.where(well, lived.steps, np.nan), axis=1, keepdims=True)
    beside = lived.heart_resting - np.nanmean(np.where(well, lived.heart_resting, np.nan), 1, keepdims=True)
    assert ill.sum() > 50
    assert usual[ill].mean() < 0.85
    assert beside[ill].mean() > 1


def test_engagement_fades_before_the_watch_is_put_away(lived: Days) -> None:
    """Who stops wears the watch less in the weeks before; who loses it does not."""
    life = lived.life
    days = np.arange(RUN.days)
    off = days[None, :] >= life.stopped[:, None]
    assert not (life.worn & off).any()
    stops = (life.stopped < RUN.days) & (life.stopped > 28) & ~life.broken
    before = (days[None, :] < life.stopped[:, None]) & (days[None, :] >= life.stopped[:, None] - 14)
    assert stops.sum() >= 5
    worn_before = (life.worn & before)[stops].sum() / before[stops].sum()
    assert worn_before < life.worn[life.stopped == RUN.days].mean() - 0.03
    assert life.engagement[stops][before[stops]].mean() < life.engagement[life.stopped == RUN.days].mean() - 1


def test_people_and_truth_are_tables_of_their_own() -> None:
    run = HistoryRun(70, 60, 3, RUN.start)
    people, truth = people_table(run), truth_table(run)
    assert people.schema.equals(PEOPLE_SCHEMA)
    assert truth.schema.equals(TRUTH_SCHEMA)
    assert people["participant"].to_pylist() == truth["participant"].to_pylist()
    assert people.num_rows == 70
    assert set(truth["persona"].to_pylist()) == set(personas.NAMES)
    assert not {"persona", "stopped", "engagement"} & set(SCHEMA.names)


def test_a_history_of_nobody_is_refused() -> None:
    with pytest.raises(ConfigError):
        HistoryRun(0, 10, 1, RUN.start)
