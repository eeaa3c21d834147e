"""The comparison of days: known differences are found, and none where there is none."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pytest

from activitymodule.days.columns import SCHEMA
from activitymodule.errors import NotEnoughDataError
from activitymodule.statistics.day_fidelity import measures
from activitymodule.statistics.day_fidelity.people import PersonDays, people_of
from activitymodule.statistics.day_fidelity.report import compare, halves


def group(
    seed: int, people: int = 12, days: int = 56, steps: float = 8000, sunday: float = 1.0, spread: float = 0.3
) -> list[PersonDays]:
    dice = np.random.default_rng(seed)
    found = []
    for number in range(people):
        day = 20_000 + np.arange(days)
        value = steps * np.exp(0.2 * dice.normal()) * np.clip(1 + spread * dice.normal(size=days), 0.1, None)
        value = value * np.where((day + 3) % 7 == 6, sunday, 1.0)
        numbers = {
            "steps": value,
            "kcal": 1600 + 0.08 * value + 50 * dice.normal(size=days),
            "active_minutes": value / 40 + 10 * dice.normal(size=days),
        }
        found.append(PersonDays(f"{seed}-{number}", day, np.ones(days, bool), numbers))
    return found


def test_groups_of_one_kind_cannot_be_told_apart() -> None:
    a, b = group(1), group(2)
    assert abs(measures.two_sample_auc(a, b) - 0.5) < 0.1
    assert measures.within_people(a, b, "steps") < 0.1


def test_a_difference_is_found_by_its_own_measure() -> None:
    plain = group(1)
    assert measures.two_sample_auc(plain, group(2, steps=16_000), absolute=True) > 0.9
    assert measures.two_sample_auc(plain, group(2, spread=0.9)) > 0.75
    assert measures.between_people(plain, group(2, steps=16_000), "steps") > 0.8
    rested = group(3, sunday=0.3)
    assert measures.weekday_error(plain, rested, "steps") > 0.1
    assert measures.weekdays(rested, "steps")[6] == pytest.approx(0.33, abs=0.05)
    assert measures.autocorrelation(rested, "steps")[6] > measures.autocorrelation(rested, "steps")[2] + 0.2


def test_autocorrelation_takes_pairs_of_worn_days_only() -> None:
    day = np.arange(60)
    value = np.where(day % 2 == 0, 10_000.0, 2_000.0)
    person = PersonDays(
        "p", day, np.ones(60, bool), dict.fromkeys(("steps", "kcal", "active_minutes"), value)
    )
    gaps = person.on(day[day % 10 != 0])
    np.testing.assert_allclose(measures.autocorrelation([person], "steps", 2), [-1, 1], atol=0.01)
    assert measures.autocorrelation([gaps], "steps", 1)[0] < -0.9


def test_people_of_records() -> None:
    start = date(2026, 1, 1)
    rows = [
        {"participant": name, "date": start + timedelta(days=k), "source": "x", "zone": "UTC", "hours": 24.0,
         "steps": 0.0 if k == 3 else 5000.4, "kcal": 2000.0, "wear_minutes": wear if k != 4 else None}
        for name, wear in (("b", 700.0), ("a", None))
        for k in range(6)
    ]  # fmt: skip
    a, b = people_of(pa.Table.from_pylist(rows, SCHEMA))
    assert (a.participant, b.participant) == ("a", "b")
    assert a.worn.tolist() == [True, True, False, True]  # the first and the last day are left out
    assert b.worn.tolist() == [True, True, True, True]
    assert a.numbers["steps"][0] == 5000
    assert np.isnan(a.numbers["steps"][2])
    assert a.weekday.tolist() == [4, 5, 6, 0]


def test_halves_do_not_depend_on_the_order() -> None:
    people = group(1)
    one, other = halves(people), halves(people[::-1])
    assert [p.participant for p in one.tuned] == [p.participant for p in other.tuned]
    assert len(one.tuned) == len(one.reported) == 6
    with pytest.raises(NotEnoughDataError):
        halves(people[:7])


def test_a_comparison_has_every_measure_with_its_spread() -> None:
    real = halves(group(1, people=12, days=28))
    found = compare(real, [halves(group(seed, people=8, days=28)) for seed in (2, 3)])
    assert found.people == (6, 6)
    assert found.seeds == 2
    assert len(found.measures) >= 13
    assert [line.name for line in found.measures if line.reported.n != 2] == [found.measures[1].name]
    unknown = {line.name for line in found.portrait if not np.isfinite(line.synthetic.mean)}
    assert unknown == {"not worn after a day not worn"}  # everybody wore the watch on every day
